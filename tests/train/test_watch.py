"""Whoever watches a training is told every epoch, and may end it; a forecast comes before any
epoch.
"""

import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.train.loop import forecast, train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)
TRAIN = TrainConfig(batch_size=256, share_size=128, negatives=32, epochs=4)


class Enough(Exception):
    """What a watcher raises."""


def test_every_epoch_is_told_those_of_a_continued_training_first(phase, graph, tmp_path):
    told = []

    def until_two(record):
        told.append(record.epoch)
        if record.epoch == 2:
            raise Enough

    with pytest.raises(Enough):
        train(Problem(phase, graph, MODEL), TRAIN, folder=tmp_path, watch=until_two, threads=1)
    assert told == [1, 2]
    trained = train(
        Problem(phase, graph, MODEL),
        TRAIN,
        folder=tmp_path,
        watch=lambda one: told.append(one.epoch),
        threads=1,
    )
    assert told == [1, 2, 1, 2, 3, 4]
    assert len(trained.history) == 4


def test_a_forecast_is_timed_and_leaves_no_trace(phase, graph):
    drawn = torch.random.get_rng_state()
    plan = forecast(Problem(phase, graph, MODEL), TRAIN, threads=1)
    assert plan.seconds is not None and plan.seconds > 0
    assert plan.steps == -(-phase.matrix(("interaction",)).nnz // 256)
    assert torch.equal(torch.random.get_rng_state(), drawn)

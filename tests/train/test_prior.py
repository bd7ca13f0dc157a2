"""Attention that opens later: until then a training is that of γ = 0, to the bit."""

import numpy as np
import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.model.attention import DegreePriorAttention
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)


def gammas(trained):
    return torch.cat(
        [value for name, value in trained.network.named_parameters() if name.endswith("gamma")]
    )


def trained(phase, graph, model=MODEL, **settings):
    config = TrainConfig(epochs=3, batch_size=64, negatives=16, **settings)
    return train(Problem(phase, graph, model), config, epochs=3, threads=1)


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_before_it_opens_the_training_is_that_of_the_prior(phase, graph, mode):
    closed = trained(phase, graph, mode=mode, prior_epochs=3)
    prior = trained(phase, graph, MODEL.model_copy(update={"attention": False}), mode=mode)
    assert (gammas(closed) == 0).all()
    assert np.array_equal(closed.embeddings.users, prior.embeddings.users)
    assert np.array_equal(closed.embeddings.items, prior.embeddings.items)


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_from_then_on_it_learns(phase, graph, mode):
    assert (gammas(trained(phase, graph, mode=mode, prior_epochs=2)) != 0).all()


def test_attention_that_has_learnt_stays_open(phase, graph):
    """As after a warm start: what encodes visitors reads γ, so the vectors must too."""
    network = trained(phase, graph, prior_epochs=0).network
    network.open_attention(False)
    assert all(one.opened for one in network.modules() if isinstance(one, DegreePriorAttention))


def test_a_training_goes_on_where_it_was_killed(phase, graph, tmp_path):
    config = TrainConfig(epochs=4, batch_size=64, negatives=16, prior_epochs=2)
    whole = train(Problem(phase, graph, MODEL), config, epochs=4, threads=1)
    with pytest.raises(KeyboardInterrupt):
        train(
            Problem(phase, graph, MODEL),
            config,
            epochs=4,
            threads=1,
            folder=tmp_path,
            watch=_interrupt_after(3),
        )
    resumed = train(Problem(phase, graph, MODEL), config, epochs=4, threads=1, folder=tmp_path)
    assert np.array_equal(whole.embeddings.users, resumed.embeddings.users)


def _interrupt_after(epoch):
    def watch(record):
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return watch

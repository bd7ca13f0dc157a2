"""Neighbours drawn by DGL train as well as our own, and the same way twice."""

import numpy as np
import pytest

from engines import HAS_DGL
from recsys.core.config import ModelConfig, TrainConfig
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=16)


SAMPLERS = ["csr", "dgl"] if HAS_DGL else ["csr"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_either_sampler_learns_and_repeats(phase, graph, sampler):
    config = TrainConfig(
        mode="sampled", sampler=sampler, epochs=4, batch_size=128, negatives=32, fanouts=[5, 3]
    )
    runs = [
        train(Problem(phase, graph, MODEL, seed=3), config, epochs=4, threads=1) for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].embeddings.users, runs[1].embeddings.users)
    losses = [record.loss for record in runs[0].history]
    assert losses[-1] < losses[0]


@pytest.mark.skipif(not HAS_DGL, reason="DGL has no wheels for this Python")
def test_the_samplers_draw_differently(phase, graph):
    found = [
        train(
            Problem(phase, graph, MODEL),
            TrainConfig(mode="sampled", sampler=sampler, batch_size=128, negatives=32, fanouts=[2]),
            epochs=1,
            threads=1,
        ).embeddings.users
        for sampler in ("csr", "dgl")
    ]
    assert not np.array_equal(*found)

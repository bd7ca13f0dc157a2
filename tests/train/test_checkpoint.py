"""A checkpoint belongs to all that decides the weights, and to nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.features import FeatureColumn
from recsys.graph.schema import Features
from recsys.train import checkpoint
from recsys.train.forecast import Plan
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)


def with_feature(graph, values):
    values = torch.as_tensor(values, dtype=torch.float32)
    columns = (FeatureColumn("price", (0.0,) * values.shape[1]),)
    return replace(graph, features={"item": Features(columns, values)})


def with_times(graph, times):
    relations = {}
    for edge_type, adjacency in graph.relations.items():
        time = torch.arange(adjacency.num_edges) * times
        relations[edge_type] = replace(adjacency, time=time)
    return replace(graph, relations=relations)


def fingerprint(graph, phase, *, moments=None, mode="sampled", device="cpu", **settings):
    problem = Problem(phase, graph, MODEL)
    plan = Plan(mode, bytes=0, steps=1, edges_a_step=0, device=torch.device(device))
    return checkpoint.fingerprint(problem, moments, TrainConfig(**settings), None, plan)


def test_other_features_are_another_training(phase, graph, tmp_path):
    config = TrainConfig(epochs=2, batch_size=256)
    draws = np.random.default_rng(0).normal(size=(2, phase.num_items, 3))
    first, second = (with_feature(graph, values) for values in draws)
    train(Problem(phase, first, MODEL), config, folder=tmp_path, threads=1)
    other = train(Problem(phase, second, MODEL), config, folder=tmp_path, threads=1)
    fresh = train(Problem(phase, second, MODEL), config, threads=1)
    assert other.history[0].loss == fresh.history[0].loss
    assert (other.embeddings.items == fresh.embeddings.items).all()


def test_other_times_are_another_training(phase, graph, tmp_path):
    config = TrainConfig(epochs=2, batch_size=64, time_respecting=True)
    spread = np.random.default_rng(0).permutation(len(phase)).astype(np.int64)
    runs = []
    for time in (spread, spread[::-1].copy()):
        dated = replace(phase, time=time)
        runs.append((dated, with_times(graph, 1)))
    train(Problem(*runs[0], MODEL), config, folder=tmp_path, threads=1)
    other = train(Problem(*runs[1], MODEL), config, folder=tmp_path, threads=1)
    fresh = train(Problem(*runs[1], MODEL), config, threads=1)
    assert (other.embeddings.users == fresh.embeddings.users).all()


def test_every_part_that_decides_the_weights_counts(phase, graph):
    fewer = replace(phase, item=phase.item[:-1], user=phase.user[:-1], weight=phase.weight[:-1])
    fewer = replace(fewer, behavior=phase.behavior[:-1])
    more_nodes = replace(graph, num_nodes=graph.num_nodes | {"item:brand": 3})
    turned = dict(reversed(graph.relations.items()))
    ones, twos = np.ones((phase.num_items, 1)), np.full((phase.num_items, 1), 2.0)
    moments = np.arange(phase.matrix().nnz)
    identities = [
        fingerprint(graph, phase),
        fingerprint(graph, fewer),
        fingerprint(more_nodes, phase),
        fingerprint(replace(graph, relations=turned), phase),
        fingerprint(replace(graph, target=graph.reverse(graph.target)), phase),
        fingerprint(with_feature(graph, ones), phase),
        fingerprint(with_feature(graph, twos), phase),
        fingerprint(graph, phase, mode="full"),
        fingerprint(graph, phase, device="cuda"),
        fingerprint(graph, phase, time_respecting=True),
        fingerprint(with_times(graph, 1), phase, time_respecting=True),
        fingerprint(with_times(graph, 2), phase, time_respecting=True),
        fingerprint(graph, phase, time_respecting=True, moments=moments),
        fingerprint(graph, phase, time_respecting=True, moments=moments[::-1]),
    ]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_minutes": 5.0},
        {"max_memory_gb": 3.0},
        {"refit_share": 0.5},
        {"checkpoint_every": 4},
        {"device": "cpu"},
        {"mode": "sampled"},
    ],
)
def test_settings_that_change_no_weight_do_not_count(phase, graph, settings):
    assert fingerprint(graph, phase, **settings) == fingerprint(graph, phase)


def test_what_training_does_not_read_does_not_count(phase, graph):
    labelled = replace(graph, labels={"item:brand": ("acme",)})
    assert fingerprint(labelled, phase) == fingerprint(graph, phase)
    assert fingerprint(with_times(graph, 3), phase) == fingerprint(graph, phase)


def test_a_mode_that_the_machine_chooses_counts_as_chosen(phase, graph, tmp_path):
    """Continuing on a machine with other memory, or under another limit, never mixes two modes."""
    auto = TrainConfig(epochs=2, batch_size=256)
    train(Problem(phase, graph, MODEL), auto, folder=tmp_path, threads=1)
    sampled = auto.model_copy(update={"mode": "sampled"})
    other = train(Problem(phase, graph, MODEL), sampled, folder=tmp_path, threads=1)
    fresh = train(Problem(phase, graph, MODEL), sampled, threads=1)
    assert (other.embeddings.users == fresh.embeddings.users).all()

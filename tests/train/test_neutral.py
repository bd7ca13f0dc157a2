"""A relation that joins a graph changes nothing before the first step: its gate is closed."""

import numpy as np
import polars as pl
import pytest
import torch

from recsys.core.config import GraphConfig, ModelConfig
from recsys.core.edge_rows import EdgeRows
from recsys.graph.build import build_graph
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import full_block
from recsys.train.problem import Problem, first_network

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)


def relations(num_users: int, num_items: int) -> list[EdgeRows]:
    draw = np.random.default_rng(0)

    def rows(left: int, right: int, text: str = "") -> pl.DataFrame:
        ends = draw.integers(0, (left, right), (60, 2)).astype(np.int32)
        frame = pl.DataFrame({"source": ends[:, 0], "destination": ends[:, 1]}).unique(
            maintain_order=True
        )
        return (
            frame.with_columns(pl.format(text + "{}", "destination").alias("destination"))
            if text
            else frame
        )

    return [
        EdgeRows("trust", ("user", "user"), rows(num_users, num_users)),
        EdgeRows("cites", ("item", "item"), rows(num_items, num_items), directed=False),
        EdgeRows("tags", ("item", "item:tag"), rows(num_items, 5, "tag ")),
        EdgeRows(
            "kg:other:entities",
            ("item:tag", "item:tag"),
            pl.DataFrame({"source": ["tag 1"], "destination": ["tag 2"]}),
        ),
    ]


@pytest.fixture
def graphs(phase):
    """Without and with other relations."""
    added = relations(phase.num_users, phase.num_items)
    named = [{"name": one.name, "file": "f.csv", "between": list(one.ends)} for one in added]
    return build_graph(phase, GraphConfig()), build_graph(
        phase, GraphConfig(relations=named), relations=added
    )


@pytest.mark.parametrize("start", ["svd", "random"])
def test_the_first_vectors_are_the_same_to_the_bit(phase, graphs, start):
    config = MODEL.model_copy(update={"start": start})
    plain, joined = (
        first_network(Problem(phase, graph, config))(full_block(graph)) for graph in graphs
    )
    assert all(torch.equal(plain[kind], joined[kind]) for kind in ("user", "item"))
    assert all(joined[kind].abs().sum(1).gt(0).any() for kind in joined)


def test_features_change_nothing_before_the_first_step(phase, graphs):
    plain, _ = graphs
    column = [{"column": "text", "use": "feature"}]
    table = pl.DataFrame(
        {"text": np.random.default_rng(0).normal(size=(phase.num_items, 3)).tolist()}
    )
    told = build_graph(phase, GraphConfig(attributes=column), table)
    config = MODEL
    networks = [first_network(Problem(phase, graph, config)) for graph in (plain, told)]
    without, with_features = (network(full_block(plain)) for network in networks)
    assert all(torch.equal(without[kind], with_features[kind]) for kind in ("user", "item"))
    (with_features["user"][0] @ with_features["item"][0]).backward()
    assert networks[1].features["item"].projection.grad.abs().sum() > 0


def test_so_are_those_of_blocks_around_seeds(phase, graphs):
    seeds = {"user": torch.arange(4), "item": torch.arange(3)}
    found = []
    for graph in graphs:
        network = first_network(Problem(phase, graph, MODEL))
        found.append(network(BlockSampler(graph, [-1], 2).sample(seeds)))
    plain, joined = found
    assert all(torch.allclose(plain[kind], joined[kind], atol=1e-6) for kind in ("user", "item"))


def test_values_that_several_relations_reach_are_heard_from_the_start(phase, graphs):
    """Tags reached by the second relation into their type alone: closed gates on both sides could
    never open.
    """
    tags = [
        EdgeRows(
            name,
            ("item", "item:tag"),
            pl.DataFrame(
                {"source": [one], "destination": [f"tag {one}"]},
                schema_overrides={"source": pl.Int32},
            ),
        )
        for one, name in enumerate(("first", "second"))
    ]
    named = [{"name": one.name, "file": "f.csv", "between": list(one.ends)} for one in tags]
    graph = build_graph(phase, GraphConfig(relations=named), relations=tags)
    network = first_network(Problem(phase, graph, MODEL))
    _, first, _ = network.layer_states(full_block(graph))
    assert first["item:tag"].abs().sum(1).gt(0).all()
    vectors = network(full_block(graph))
    plain = first_network(Problem(phase, graphs[0], MODEL))(full_block(graphs[0]))
    assert torch.equal(vectors["item"], plain["item"])
    (vectors["item"][1] @ vectors["user"][0]).backward()
    assert all(layer.gate["relation:rev_second"].grad.abs() > 0 for layer in network.layers)


def test_its_gate_hears_the_first_gradient(phase, graphs):
    _, graph = graphs
    network = first_network(Problem(phase, graph, MODEL))
    vectors = network(full_block(graph))
    (vectors["user"][0] @ vectors["item"][0]).backward()
    gates = {
        name: value.grad
        for layer in network.layers
        for name, value in layer.gate.items()
        if value.grad is not None
    }
    assert any(gradient.abs() > 0 for gradient in gates.values())

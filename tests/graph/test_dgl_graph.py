"""The DGL heterograph has our edges under our numbers, and DGL's draws repeat."""

import numpy as np
import polars as pl
import pytest
import torch

from recsys.core.config import GraphConfig
from recsys.graph.build import build_graph
from recsys.graph.dgl_graph import DglDraw, to_dgl


@pytest.fixture(scope="module")
def graph(interactions_of):
    rng = np.random.default_rng(3)
    pairs = list(
        zip(rng.integers(0, 30, 200).tolist(), rng.integers(0, 20, 200).tolist(), strict=True)
    )
    items = pl.DataFrame({"genres": [["a", "b"][: one % 3] for one in range(21)]})
    interactions = interactions_of(pairs, 31, 21, time=rng.integers(0, 99, 200).tolist())
    return build_graph(
        interactions, GraphConfig(half_life_days=1, attributes=[{"column": "genres"}]), items
    )


def test_edges_numbers_and_data(graph):
    heterograph = to_dgl(graph)
    assert heterograph.canonical_etypes == sorted(graph.relations)
    assert {one: heterograph.num_nodes(one) for one in heterograph.ntypes} == graph.num_nodes
    for edge_type, adjacency in graph.relations.items():
        source, destination = heterograph.edges(etype=edge_type, order="eid")
        assert torch.equal(source, adjacency.indices)
        assert torch.equal(destination.long(), adjacency.destinations())
        data = heterograph.edges[edge_type].data
        assert torch.equal(data["weight"], adjacency.weight)
        assert ("time" in data) == (adjacency.time is not None)
        assert adjacency.time is None or torch.equal(data["time"], adjacency.time)


def test_draws_repeat_whatever_was_drawn_before(graph):
    draw = DglDraw(graph)
    rows = np.array([7, 3, 30, 0])
    first = draw(graph.target, np.array([7, 3, 20, 0]), 2, (1, 2))
    draw(graph.target, np.arange(20), 5, (9,))
    again = draw(graph.target, np.array([7, 3, 20, 0]), 2, (1, 2))
    assert first.position.tolist() == again.position.tolist()
    assert first.per_row.tolist() == again.per_row.tolist()
    back = draw(("item", "rev_interaction", "user"), rows, -1, (0,))
    indptr = graph.relations["item", "rev_interaction", "user"].indptr
    assert back.per_row.tolist() == indptr.diff()[rows].tolist()
    assert sorted(back.position[: back.per_row[0]].tolist()) == list(range(indptr[7], indptr[8]))

"""Small random graphs to run on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from recsys.graph.schema import (
    Adjacency,
    EdgeType,
    Graph,
    Messages,
    reverse,
    source_degrees,
    target_degrees,
)

MakeMessages = Callable[..., Messages]
MakeGraph = Callable[..., Graph]


def adjacency_of(dense: np.ndarray) -> Adjacency:
    """(destinations, sources) weights, 0 where there is no edge."""
    row, column = np.nonzero(dense)
    indptr = np.append(0, np.cumsum((dense != 0).sum(1))).astype(np.int32)
    weight = torch.from_numpy(dense[row, column].astype(np.float32))
    return Adjacency(
        torch.from_numpy(indptr), torch.from_numpy(column.astype(np.int32)), weight, dense.shape[1]
    )


def messages_of(dense: np.ndarray) -> Messages:
    adjacency = adjacency_of(dense)
    return Messages(adjacency, source_degrees(adjacency), target_degrees(adjacency))


@pytest.fixture
def make_messages() -> MakeMessages:
    """Messages from a (destinations, sources) array of weights, 0 where there is no edge."""
    return messages_of


@pytest.fixture
def make_graph() -> MakeGraph:
    """A random graph: users, items, one relation per behaviour, genres, similar nodes; every tenth
    node has no edge.
    """

    def make(
        behaviors: tuple[str, ...] = ("buy",),
        users: int = 20,
        items: int = 15,
        genres: int = 0,
        seed: int = 0,
        similar: bool = False,
    ) -> Graph:
        draw = np.random.default_rng(seed)
        relations: dict[EdgeType, Adjacency] = {}

        def relate(edge_type: EdgeType, dense: np.ndarray) -> None:
            relations[edge_type] = adjacency_of(dense)
            relations[reverse(edge_type)] = adjacency_of(dense.T)

        for behavior in behaviors:
            dense = (draw.random((items, users)) < 0.25) * draw.uniform(0.5, 2.0, (items, users))
            dense[:, ::10] = 0
            dense[::10] = 0
            relate(("user", behavior, "item"), dense)
        nodes = {"user": users, "item": items}
        if genres:
            nodes["item:genres"] = genres
            relate(
                ("item", "genres", "item:genres"),
                (draw.random((genres, items)) < 0.4).astype(float),
            )
        for node_type in ("user", "item") if similar else ():
            dense = (draw.random((nodes[node_type],) * 2) < 0.1) * draw.uniform(0.1, 1.0)
            relations[node_type, f"similar_{node_type}s", node_type] = adjacency_of(
                np.maximum(dense, dense.T)
            )
        return Graph(nodes, relations, ("user", behaviors[0], "item"))

    return make


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)

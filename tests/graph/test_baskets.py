"""Rows of items that belong together, by hand."""

import numpy as np
import polars as pl
import pytest

from recsys.core.config import GraphConfig
from recsys.core.edge_rows import EdgeRows
from recsys.graph.baskets import baskets
from recsys.graph.build import build_graph

PAIRS = [(0, 0), (0, 1), (1, 2), (1, 3)]


def graph_of(interactions, ends, pairs, **fields):
    """Four items that users took, with one relation from a file."""
    kinds = [pl.Int32 if end in ("user", "item") else pl.String for end in ends]
    columns = {
        name: [pair[place] for pair in pairs]
        for place, name in enumerate(("source", "destination"))
    }
    frame = pl.DataFrame(columns, schema=dict(zip(columns, kinds, strict=True)))
    config = GraphConfig(relations=[{"name": "r", "file": "f.csv", "between": list(ends)}])
    return build_graph(interactions, config, relations=[EdgeRows("r", ends, frame, **fields)])


def test_items_of_a_value(interactions_of):
    tags = [(0, "a"), (1, "a"), (2, "a"), (3, "a"), (0, "b"), (1, "b"), (2, "alone")]
    found = baskets(graph_of(interactions_of(PAIRS), ("item", "item:tag"), tags)).toarray()
    assert found == pytest.approx(np.array([[4**-0.25] * 4, [2**-0.25, 2**-0.25, 0, 0]]))


@pytest.mark.parametrize("directed", [True, False])
def test_an_item_with_those_it_is_linked_to(interactions_of, directed):
    graph = graph_of(interactions_of(PAIRS), ("item", "item"), [(0, 1), (0, 2)], directed=directed)
    star, pair = 3**-0.25, 2**-0.25
    wanted = np.array([[star, star, star, 0], [pair, pair, 0, 0], [pair, 0, pair, 0]])
    assert baskets(graph).toarray() == pytest.approx(wanted)


def test_users_and_their_links_make_none(interactions_of):
    assert baskets(graph_of(interactions_of(PAIRS), ("user", "user"), [(0, 1)])).shape == (0, 4)
    assert baskets(build_graph(interactions_of(PAIRS), GraphConfig())).shape == (0, 4)


def test_relations_counted_in_the_log_itself_make_none(interactions_of):
    interactions = interactions_of([(0, 0), (0, 1), (1, 0), (1, 1)], time=[0, 1, 0, 1])
    graph = build_graph(interactions, GraphConfig(sessions={"gap_minutes": 30}))
    assert any(name == "next" for _, name, _ in graph.relations)
    assert baskets(graph).nnz == 0

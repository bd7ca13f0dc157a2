"""Relations between similar nodes: a table worked by hand, files, DGL, and what is refused."""

import numpy as np
import pytest
import torch
from scipy import sparse

from engines import HAS_DGL
from recsys.core.config import GraphConfig
from recsys.core.errors import ConfigError, UsageError
from recsys.graph.build import build_graph
from recsys.graph.schema import full_block
from recsys.graph.store import load_graph, save_graph

SIMILAR = ("item", "similar_items", "item")
TABLE = sparse.csr_matrix(np.array([[0, 0.5, 0], [0, 0, 0], [0.25, 0, 0]], np.float32))


@pytest.fixture
def graph(interactions_of):
    interactions = interactions_of([(0, 0), (0, 1), (1, 2)])
    return build_graph(interactions, GraphConfig(item_neighbours={}), similar={"item": TABLE})


def test_links_go_both_ways(graph):
    assert graph.reverse(SIMILAR) == SIMILAR
    edges = graph.relations[SIMILAR]
    assert edges.indptr.tolist() == [0, 2, 3, 4]
    assert edges.indices.tolist() == [1, 2, 0, 0]
    assert edges.weight.tolist() == [0.5, 0.25, 0.5, 0.25]
    messages = full_block(graph).messages[SIMILAR]
    assert messages.source_degree.tolist() == messages.target_degree.tolist() == [0.75, 0.5, 0.25]


def test_it_is_added_to_what_decides(graph):
    assert graph.base_relation("item") == ("user", "interaction", "item")
    assert list(graph.relations)[2:] == [SIMILAR]


def test_files_and_dgl(graph, tmp_path):
    save_graph(graph, tmp_path)
    again = load_graph(tmp_path).relations[SIMILAR]
    assert torch.equal(again.weight, graph.relations[SIMILAR].weight)
    if HAS_DGL:
        from recsys.graph.dgl_graph import to_dgl

        assert torch.equal(to_dgl(graph).edges[SIMILAR].data["weight"], again.weight)


def test_users_of_pairs_alone(interactions_of):
    similar = {"user": sparse.csr_matrix(np.array([[0, 2], [2, 0]], np.float32))}
    graph = build_graph(
        interactions_of([(0, 0), (1, 0)]), GraphConfig(user_neighbours={}), similar=similar
    )
    assert graph.relations["user", "similar_users", "user"].weight.tolist() == [2, 2]


def test_tables_and_configuration_must_agree(interactions_of):
    interactions = interactions_of([(0, 0)])
    with pytest.raises(UsageError, match=r"similar nodes of \['item'\] and got \[\]"):
        build_graph(interactions, GraphConfig(item_neighbours={}))
    with pytest.raises(UsageError, match=r"similar nodes of \[\] and got \['item'\]"):
        build_graph(interactions, GraphConfig(), similar={"item": TABLE})


def test_a_behaviour_of_that_name(interactions_of):
    interactions = interactions_of(
        [(0, 2)], behavior=["similar_items"], behaviors=("similar_items",)
    )
    with pytest.raises(ConfigError, match="called 'similar_items'"):
        build_graph(interactions, GraphConfig(item_neighbours={}), similar={"item": TABLE})

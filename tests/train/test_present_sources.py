"""A step's block without the nodes that send nothing: the same vectors as with all of them."""

import numpy as np
import torch

from recsys.core.config import GraphConfig, ModelConfig
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.build import build_graph
from recsys.graph.present_sources import with_present_sources
from recsys.graph.schema import ITEM, USER
from recsys.logs.synthetic import communities
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.train.stepper import first_network

MODEL = ModelConfig(family="history", width=8, heads=2, history=5)


def test_users_have_the_same_vectors(make_phase):
    phase = make_phase(communities(num_users=40, num_items=30, events_per_user=6, seed=2).log)
    graph = build_graph(phase, GraphConfig())
    network = first_network(phase, graph, MODEL, 0, None, None).eval()
    assert isinstance(network, HistoryNetwork)
    blocks = history_blocks_of(graph, phase, MODEL)
    pairs = np.array([0, 7, 7, 30])
    users = np.repeat(np.arange(phase.num_users), np.bincount(phase.user))[pairs]
    block = blocks.before(pairs, users, (3,))
    wanted = torch.tensor([29, 2, 2])
    fewer = with_present_sources(block, {ITEM: wanted})

    sent = {int(item) for of in block.messages.values() for item in of.adjacency.indices}
    assert fewer.nodes[ITEM].tolist() == sorted(sent | {2, 29})
    assert len(fewer.nodes[ITEM]) < phase.num_items
    assert torch.equal(fewer.nodes[USER], block.nodes[USER])

    messages = network.messages_of_nodes(history_blocks(graph, MODEL.layers))
    of_all = network.with_own(messages)
    ids = fewer.nodes[ITEM]
    of_some = network.with_own({ITEM: messages[ITEM][ids]}, {ITEM: ids})
    assert torch.allclose(of_some[ITEM], of_all[ITEM][ids])
    expected = network.users(of_all, block)
    assert torch.allclose(network.users(of_some, fewer), expected, atol=1e-6)


def test_no_edge_at_all_leaves_what_is_wanted(make_phase):
    phase = make_phase(communities(num_users=10, num_items=8, events_per_user=3, seed=0).log)
    graph = build_graph(phase, GraphConfig())
    blocks = history_blocks_of(graph, phase, MODEL)
    nobody = np.empty(0, np.int64)
    fewer = with_present_sources(blocks.before(nobody, nobody, (0,)), {ITEM: torch.tensor([5, 1])})
    assert fewer.nodes[ITEM].tolist() == [1, 5]

"""Shares of messages: by hand, and what must hold for any graph."""

import numpy as np
import pytest
import torch

from recsys.core.config import ModelConfig
from recsys.graph.schema import full_block
from recsys.model.mass import message_mass
from recsys.model.network import Network


def made(make_graph, gate=0.0, **options):
    graph = make_graph(("buy", "view"), genres=4, similar=True)
    network = Network(
        graph.num_nodes,
        list(graph.relations),
        graph.target,
        ModelConfig(**{"family": "degree_prior", "width": 8, "heads": 2} | options),
        1,
    )
    with torch.no_grad():
        for layer in network.layers:
            for value in layer.gate.values():
                value.fill_(gate)
    return network, graph


def test_with_closed_gates_the_base_has_everything(make_graph):
    found = message_mass(*made(make_graph))
    assert found["user"]["rev_buy"] == found["item"]["buy"] == 1.0
    assert found["user"]["rev_view"] == found["item"]["rev_genres"] == 0.0


@pytest.mark.parametrize("family", ["degree_prior", "gatv2"])
def test_shares_sum_to_one(make_graph, family):
    found = message_mass(*made(make_graph, gate=0.7, family=family))
    for shares in found.values():
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert 0 < found["item"]["rev_genres"] < 1 and set(found["user"]) == {
        "rev_buy",
        "rev_view",
        "similar_users",
    }


def test_against_a_loop(make_graph):
    network, graph = made(make_graph, gate=0.4, layers=1)
    block = full_block(graph)
    with torch.no_grad():
        states = next(network.layer_states(block))
        sent = network.layers[0].messages("item", states, block)
        rows = []
        for item in range(graph.num_nodes["item"]):
            lengths = [float(one[item].norm()) for one in sent.values()]
            if sum(lengths):
                rows.append(np.array(lengths) / sum(lengths))
        out = network.layers[0](states, block)["item"]
    assert torch.allclose(sum(sent.values()), out, atol=1e-6)
    found = message_mass(network, graph)["item"]
    assert np.allclose(list(found.values()), np.mean(rows, axis=0), atol=1e-5)

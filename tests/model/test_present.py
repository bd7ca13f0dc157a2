"""Relations among few nodes: the same messages and gradients as over all nodes."""

import numpy as np
import pytest
import torch
from torch import nn

from recsys.model import present
from recsys.model.attention import DegreePriorAttention
from recsys.model.present import pass_messages
from recsys.model.textbook import GATLayer


def few(draw: np.random.Generator) -> np.ndarray:
    """(12 destinations, 20 sources) weights; three of the former have edges, from seven of the
    latter.
    """
    dense = np.zeros((12, 20))
    dense[np.ix_([1, 5, 11], [0, 3, 4, 9, 10, 18, 19])] = draw.uniform(0.5, 2, (3, 7)) * (
        draw.random((3, 7)) < 0.8
    )
    return dense


def attention_of(family: str) -> nn.Module:
    if family == "gat":
        return GATLayer(8, 2, 4)
    layer = DegreePriorAttention(2)
    nn.init.constant_(layer.gamma, 0.7)
    return layer


@pytest.mark.parametrize("family", ["degree_prior", "gat"])
def test_the_same_messages_and_gradients(make_messages, rng, family):
    messages = make_messages(few(rng))
    layer, asked = attention_of(family), torch.randn(12, 8)
    found = []
    for way in (layer, lambda *three: pass_messages(layer, *three)):
        torch.manual_seed(1)
        states = [torch.randn(20, 8).requires_grad_(), torch.randn(12, 8).requires_grad_()]
        out = way(*states, messages) * (messages.adjacency.indptr.diff() > 0)[:, None]
        layer.zero_grad()
        out.backward(asked)
        found.append([out.detach(), *(one.grad for one in (*states, *layer.parameters()))])
    for plain, small in zip(*found, strict=True):
        torch.testing.assert_close(small, plain, atol=1e-6, rtol=1e-5)


def test_it_is_found_once_and_forgotten_with_the_graph(make_messages, rng):
    messages = make_messages(few(rng))
    before = len(present._PRESENT)
    found = present._present_of(messages.adjacency)
    assert found is present._present_of(messages.adjacency)
    assert found.rows.tolist() == [1, 5, 11]
    assert len(present._PRESENT) == before + 1
    del messages
    assert len(present._PRESENT) == before


def test_most_nodes_are_all_nodes(make_messages):
    messages = make_messages(np.ones((4, 5)))
    assert present._present_of(messages.adjacency) is None


def test_a_relation_without_an_edge_sends_nothing(make_messages):
    out = pass_messages(
        DegreePriorAttention(2),
        torch.randn(5, 8),
        torch.randn(4, 8),
        make_messages(np.zeros((4, 5))),
    )
    assert out.shape == (4, 8) and not out.any()

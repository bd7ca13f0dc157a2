"""Attention by a query that all users share: by hand, as loops, and its gradients."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.graph.schema import Messages, Places
from recsys.model.history_attention import HistoryAttention, Recency


def with_recency(messages: Messages, recency: Tensor) -> Messages:
    """recency: (edges,) logarithms."""
    return replace(messages, recency=recency)


def random_attention(heads: int, width: int, draw: np.random.Generator) -> HistoryAttention:
    """Of a layer after the first, every parameter away from its start."""
    attention = HistoryAttention(heads, width, exponent=0.3, matches=True)
    with torch.no_grad():
        for parameter in attention.parameters():
            values = draw.normal(size=tuple(parameter.shape))
            parameter.add_(torch.as_tensor(values, dtype=torch.float32))
    return attention


def random_messages(make_messages, draw: np.random.Generator) -> tuple[np.ndarray, Messages]:
    """(targets, sources) weights and their messages, with recency; row 2 has no neighbour."""
    dense = (draw.random((7, 9)) < 0.5) * draw.uniform(0.2, 3.0, (7, 9))
    dense[2] = 0
    messages = make_messages(dense)
    count = messages.adjacency.num_edges
    recency = torch.tensor(draw.normal(size=count)).float()
    return dense, with_recency(messages, recency)


def naive(
    attention: HistoryAttention,
    source: np.ndarray,
    users: np.ndarray,
    dense: np.ndarray,
    messages: Messages,
):
    """The formulae of the docstring, one edge and one head at a time, in float64."""
    values = {name: value.detach().double().numpy() for name, value in attention.named_parameters()}
    degree = dense.sum(0)
    width = source.shape[1]
    head_width = width // attention.heads
    power = math.exp(values["log_weight_power"])
    out = np.zeros((len(dense), width))
    edge = 0
    for target, row in enumerate(dense):
        neighbours = np.flatnonzero(row)
        asked = users[target] / np.linalg.norm(users[target]) @ values["match"]
        for head in range(attention.heads):
            part = slice(head * head_width, (head + 1) * head_width)
            total = 0.0
            for number, neighbour in enumerate(neighbours):
                state = source[neighbour, part]
                logit = (values["query"][head] + asked[part]) @ state / np.linalg.norm(state)
                recency = math.exp(float(messages.recency[edge + number]))
                prior = (row[neighbour] * recency) ** power * degree[neighbour] ** -values[
                    "source_exponent"
                ]
                weight = prior * math.exp(logit)
                out[target, part] += weight * state
                total += weight
            if total:
                out[target, part] /= total
        edge += len(neighbours)
    return out


def test_by_hand(make_messages):
    """One user of three events, one head of width 2: weights 1, 2, 3; degrees 1, 2, 3 and a = 1, so
    that priors are all 1.
    """
    messages = make_messages(np.array([[1.0, 2.0, 3.0]]))
    messages = with_recency(messages, torch.tensor([5.0, 3.0, 4.0]).log())
    attention = HistoryAttention(1, 2, exponent=1.0)
    with torch.no_grad():
        attention.query.copy_(torch.tensor([[math.log(2), 0.0]]))
    source = torch.tensor([[3.0, 0.0], [0.0, 7.0], [-2.0, 0.0]])
    # The cosines with the query's axis are 1, 0, −1: factors 2, 1, ½. With 5, 3, 4 the weights are
    # 10, 3, 2.
    expected = [(10 * 3 - 2 * 2) / 15, 3 * 7 / 15]
    assert attention(source, torch.zeros(1, 2), messages)[0].tolist() == pytest.approx(expected)


def test_recency_by_hand():
    recency = Recency(3, with_gaps=True)
    with torch.no_grad():
        recency.rank_bias.copy_(torch.tensor([0.0, -1.0, -2.0]))
        recency.gap_bias[5] = -0.5
    places = Places(torch.tensor([2, 1, 0]), torch.tensor([5, 5, 0]))
    assert recency(places).tolist() == [-2.5, -1.5, 0.0]
    assert Recency(3, with_gaps=False)(places).tolist() == [0.0, 0.0, 0.0]


def test_a_match_asks_for_what_the_user_is(make_messages):
    """One head of width 2 and the identity as match: neighbours weigh e^cos with the user."""
    messages = make_messages(np.array([[1.0, 1.0]]))
    attention = HistoryAttention(1, 2, exponent=0.0, matches=True)
    with torch.no_grad():
        attention.match.copy_(torch.eye(2))
    source = torch.tensor([[3.0, 0.0], [0.0, 7.0]])
    user = torch.tensor([[0.0, 2.0]])
    expected = [3 / (1 + math.e), 7 * math.e / (1 + math.e)]
    assert attention(source, user, messages)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equals_the_loops(make_messages, heads):
    draw = np.random.default_rng(heads)
    attention = random_attention(heads, 8, draw)
    dense, messages = random_messages(make_messages, draw)
    source, users = draw.normal(size=(9, 8)), draw.normal(size=(7, 8))
    out = attention(torch.tensor(source).float(), torch.tensor(users).float(), messages)
    expected = naive(attention, source, users, dense, messages)
    np.testing.assert_allclose(out.detach(), expected, atol=3e-6)
    assert not out[2].any()


def test_gradients_equal_those_of_dense_autograd(make_messages):
    draw = np.random.default_rng(7)
    attention = random_attention(2, 8, draw)
    dense, messages = random_messages(make_messages, draw)
    source = torch.tensor(draw.normal(size=(9, 8))).float().requires_grad_()
    users = torch.tensor(draw.normal(size=(7, 8))).float().requires_grad_()
    recency = messages.recency.requires_grad_()
    slope = torch.tensor(draw.normal(size=(7, 8))).float()
    ours = torch.autograd.grad(
        attention(source, users, messages),
        [source, users, recency, *attention.parameters()],
        slope,
    )
    in_float64 = attention.double()
    leaves = [leaf.detach().double().requires_grad_() for leaf in (source, users, recency)]
    theirs = torch.autograd.grad(
        dense_forward(in_float64, *leaves, dense),
        [*leaves, *in_float64.parameters()],
        slope.double(),
    )
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient.double(), expected, atol=2e-5, rtol=1e-4)


def dense_forward(attention, source, users, recency, dense):
    """The same attention as plain operations on dense matrices, for autograd."""
    weight = torch.tensor(dense)
    row, column = np.nonzero(dense)
    edges = torch.tensor(row), torch.tensor(column)
    of_edges = attention.log_weight_power.exp() * (weight[edges].log() + recency)
    log_weight = torch.full(dense.shape, -torch.inf, dtype=torch.float64)
    log_weight = log_weight.index_put(edges, of_edges)
    log_degree = weight.sum(0).clamp_min(1e-12).log()
    prior = log_weight - attention.source_exponent * log_degree
    states = source.reshape(len(source), attention.heads, -1)
    keys = states / torch.linalg.vector_norm(states, dim=2, keepdim=True)
    asked = users / torch.linalg.vector_norm(users, dim=1, keepdim=True) @ attention.match
    asked = asked.reshape(len(users), attention.heads, -1)
    logits = torch.einsum("uhd,hd->hu", keys, attention.query)[:, None] + prior
    logits = logits + torch.einsum("uhd,vhd->hvu", keys, asked)
    filled = torch.tensor(dense).any(1)
    alpha = logits[:, filled].softmax(-1)
    mixed = torch.einsum("hvu,uhd->vhd", alpha, states).reshape(int(filled.sum()), -1)
    out = torch.zeros(dense.shape[0], source.shape[1], dtype=torch.float64)
    return out.index_put((torch.nonzero(filled)[:, 0],), mixed)


def test_without_attention_and_order_it_is_the_mean_of_the_history(make_messages):
    attention = HistoryAttention(2, 4, exponent=0.0, learn_exponents=False, attention=False)
    source = torch.randn(3, 4)
    out = attention(source, torch.zeros(2, 4), make_messages(np.array([[1.0, 1, 0], [1, 1, 1]])))
    torch.testing.assert_close(out, torch.stack([source[:2].mean(0), source.mean(0)]))
    assert not any(parameter.requires_grad for parameter in attention.parameters())


def test_a_new_event_leaves_the_weights_of_the_others_to_each_other(make_messages):
    """The ratio of two neighbours' shares does not depend on a third."""
    attention = random_attention(1, 4, np.random.default_rng(3))
    two = with_recency(make_messages(np.array([[1.0, 2.0, 0.0]])), torch.tensor([0.4, 0.1]))
    three = with_recency(make_messages(np.array([[1.0, 2.0, 1.0]])), torch.tensor([0.4, 0.1, 1.0]))
    three = replace(three, source_degree=torch.ones(3))
    two = replace(two, source_degree=torch.ones(3))
    source = torch.eye(4)[:3]
    ratios = []
    for messages in (two, three):
        shares = attention(source, torch.zeros(1, 4), messages)[0].detach()
        ratios.append(float(shares[0] / shares[1]))
    assert ratios[0] == pytest.approx(ratios[1])


def test_dropped_weights_keep_their_expectation(make_messages):
    attention = HistoryAttention(1, 2, dropout=0.5)
    messages = make_messages(np.ones((3000, 6)))
    source, target = torch.randn(6, 2), torch.zeros(3000, 2)
    whole = attention.eval()(source, target, messages)
    dropped = attention.train()(source, target, messages)
    assert not torch.allclose(dropped[0], whole[0])
    torch.testing.assert_close(dropped.mean(0), whole[0], atol=0.05, rtol=0)

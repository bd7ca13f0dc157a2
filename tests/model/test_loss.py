import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.model.loss import KnownPositives, bpr, log_expected_count, sampled_softmax, squared_length


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), unique=True),
    st.lists(st.integers(0, 6), max_size=8),
    st.lists(st.integers(0, 8), max_size=12),
)
def test_known_pairs_are_found(pairs, users, columns):
    known = KnownPositives.of(
        torch.tensor([u for u, _ in pairs], dtype=torch.int64),
        torch.tensor([i for _, i in pairs], dtype=torch.int64),
        7,
    )
    row, column = known.among(torch.tensor(users, dtype=torch.int64), torch.tensor(columns, dtype=torch.int64))
    expected = {(r, c) for r, u in enumerate(users) for c, i in enumerate(columns) if (u, i) in pairs}
    assert sorted(zip(row.tolist(), column.tolist(), strict=True)) == sorted(expected)
    short = min(len(users), len(columns))
    found = known.contains(
        torch.tensor(users[:short], dtype=torch.int64), torch.tensor(columns[:short], dtype=torch.int64)
    )
    assert found.tolist() == [(u, i) in pairs for u, i in zip(users[:short], columns[:short], strict=True)]


def naive_softmax(user, item, users, positives, negatives, pairs, temperature, in_batch, log_q) -> float:
    """One pair and one candidate at a time."""
    candidates = (positives if in_batch else []) + negatives
    total = 0.0
    for row, (u, i) in enumerate(zip(users, positives, strict=True)):
        own = float(user[u] @ item[i]) / temperature
        own -= log_q[row] if log_q is not None and in_batch else 0
        others = [
            float(user[u] @ item[j]) / temperature - (log_q[column] if log_q is not None else 0)
            for column, j in enumerate(candidates)
            if (u, j) not in pairs
        ]
        total -= own - math.log(math.exp(own) + sum(map(math.exp, others)))
    return total / len(users)


@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("corrected", [True, False])
def test_softmax_equals_the_loops(in_batch, corrected):
    draw = np.random.default_rng(3)
    user, item = draw.normal(size=(5, 4)), draw.normal(size=(9, 4))
    pairs = {(u, i) for u in range(5) for i in range(9) if draw.random() < 0.3} | {(0, 0), (1, 1), (2, 0), (2, 5)}
    users, positives = [0, 1, 2, 2], [0, 1, 0, 5]  # item 0 twice: a negative of nobody who knows it
    negatives = [3, 0, 7, 7]
    candidates = torch.tensor((positives if in_batch else []) + negatives)
    known = KnownPositives.of(*torch.tensor(sorted(pairs)).T, 5).among(torch.tensor(users), candidates)
    log_q = log_expected_count(candidates, torch.full((9,), 1 / 9), 4, 4) + torch.linspace(0, 1, len(candidates))
    log_q = log_q if corrected else None
    z_user, z_item = torch.tensor(user), torch.tensor(item)
    found = sampled_softmax(
        z_user[users],
        z_item[positives],
        z_item[negatives],
        known,
        0.7,
        in_batch,
        None if log_q is None else log_q.double(),
    )
    expected = naive_softmax(
        user, item, users, positives, negatives, pairs, 0.7, in_batch, None if log_q is None else log_q.tolist()
    )
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_softmax_by_hand():
    """Scores 1 and 0 at temperature ½ against one negative: ln(1 + e^−2)."""
    user, positive, negative = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    loss = sampled_softmax(user, positive, negative, None, 0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)


def test_softmax_without_anybody_to_tell_apart_is_zero():
    user = torch.randn(1, 3, requires_grad=True)
    loss = sampled_softmax(user, torch.randn(1, 3), None, None, 0.1)
    loss.backward()
    assert loss.item() == 0
    assert not user.grad.any()


def test_masked_pairs_pass_no_gradient():
    user, positive = torch.randn(2, 3), torch.randn(2, 3)
    negatives = torch.randn(2, 3, requires_grad=True)
    known = (torch.tensor([0, 1]), torch.tensor([2, 2]))  # the first shared negative, after two batch columns
    sampled_softmax(user, positive, negatives, known, 0.2).backward()
    assert not negatives.grad[0].any()
    assert negatives.grad[1].any()


def test_gradients_of_the_softmax():
    inputs = [torch.randn(n, 4, dtype=torch.double, requires_grad=True) for n in (5, 5, 3)]
    known = (torch.tensor([0, 4]), torch.tensor([3, 6]))
    assert torch.autograd.gradcheck(lambda u, p, n: sampled_softmax(u, p, n, known, 0.3), inputs)


def test_high_scores_do_not_overflow():
    z = torch.eye(4) * 40
    assert sampled_softmax(z, z, -z, None, 0.05).item() == pytest.approx(0, abs=1e-6)
    assert sampled_softmax(z, -z, z, None, 0.05).isfinite()


def test_bpr_equals_the_loop_and_leaves_known_pairs_out():
    user, positive, negative = (torch.randn(6, 4) for _ in range(3))
    each = [
        -math.log(1 / (1 + math.exp(-float(u @ (p - n))))) for u, p, n in zip(user, positive, negative, strict=True)
    ]
    assert bpr(user, positive, negative).item() == pytest.approx(np.mean(each), rel=1e-5)
    known = torch.tensor([True, False, True, False, False, True])
    expected = np.mean([one for one, masked in zip(each, known.tolist(), strict=True) if not masked])
    assert bpr(user, positive, negative, known).item() == pytest.approx(expected, rel=1e-5)
    assert bpr(user, positive, negative, torch.ones(6, dtype=torch.bool)).item() == 0


def test_expected_counts():
    """100 in-batch draws of shares ¾ and ¼, and 10 uniform ones of two items."""
    counts = log_expected_count(torch.tensor([0, 1, 1]), torch.tensor([0.75, 0.25]), 100, 10).exp()
    assert counts.tolist() == pytest.approx([80, 30, 30])


def test_squared_length():
    assert squared_length(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.ones(2, 2)).item() == pytest.approx(13 + 2)

"""The item table against a loop over pairs, and histories by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.closed_form.item_table import Exponents, histories, item_table
from recsys.core.errors import UsageError
from worlds import make_interactions


def looped(pairs: np.ndarray, exponents: Exponents) -> np.ndarray:
    users, items = pairs.sum(1), pairs.sum(0)
    table = np.zeros((pairs.shape[1], pairs.shape[1]))
    for j in range(pairs.shape[1]):
        for i in range(pairs.shape[1]):
            if i != j and items[i] and items[j]:
                shared = sum(users[u] ** -exponents.user for u in range(len(pairs)) if pairs[u, i] and pairs[u, j])
                table[j, i] = items[j] ** -exponents.source * shared * items[i] ** -exponents.target
    return table


@given(st.integers(0, 50), st.tuples(*[st.floats(0, 1.5)] * 3), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_the_strongest_entries_of_the_loop(seed, powers, top_n):
    pairs = np.random.default_rng(seed).random((7, 9)) < 0.4
    exponents = Exponents(*powers)
    table, wanted = item_table(sparse.csr_matrix(pairs.astype(np.float32)), exponents, top_n), looped(pairs, exponents)
    for row, full in zip(table.toarray(), wanted, strict=True):
        assert np.allclose(np.sort(row)[::-1][:top_n], np.sort(full)[::-1][:top_n], rtol=1e-5)
        assert np.count_nonzero(row) <= top_n
        assert np.allclose(row[row > 0], full[row > 0], rtol=1e-5)


def test_two_users_by_hand():
    """Users {a, b} and {a, b, c}: from a, b follows with (2^−1 + 3^−1) · 2^−½ · 2^−½."""
    pairs = sparse.csr_matrix(np.array([[1, 1, 0], [1, 1, 1]], np.float32))
    table = item_table(pairs, Exponents(1.0, 0.5, 0.5), 5).toarray()
    assert table[0, 1] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert table[2, 0] == pytest.approx(1 / 3 / np.sqrt(2))
    assert not table.diagonal().any()


def test_no_items_a_row_are_refused():
    with pytest.raises(UsageError, match="top_n = 0"):
        item_table(sparse.csr_matrix((2, 2)), Exponents(), 0)


def test_the_latest_of_a_history_count_most():
    log = make_interactions()
    recent = histories(log, "buy", half_life=2.0)
    assert (recent != 0).toarray().tolist() == (histories(log, "buy") != 0).toarray().tolist()
    for user in range(log.num_users):
        rows = np.flatnonzero(log.of("buy") & (log.user == user))
        newest_first = log.item[rows][np.argsort(-log.time[rows], kind="stable")]
        assert recent[user].toarray().ravel()[newest_first] == pytest.approx(2.0 ** (-np.arange(len(rows)) / 2))


def test_of_a_repeated_pair_the_latest_event_counts():
    log = make_interactions()
    user, items = int(log.user[0]), log.item[log.of("buy") & (log.user == log.user[0])]
    again = replace(
        log,
        user=np.append(log.user, user).astype(np.int32),
        item=np.append(log.item, items[0]).astype(np.int32),
        time=np.append(log.time, log.time.max() + 1),
        behavior=np.append(log.behavior, 1).astype(np.int16),
        weight=np.append(log.weight, 1).astype(np.float32),
    )
    row = histories(again, "buy", half_life=1.0)[user].toarray().ravel()
    assert row[items[0]] == 1.0
    assert np.count_nonzero(row) == len(items)


def test_recency_needs_times():
    with pytest.raises(UsageError, match="half-life of 5 events"):
        histories(replace(make_interactions(), time=None), "buy", 5.0)

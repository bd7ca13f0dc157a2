"""The item–item table against regressions of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.closed_form.item_item import _kind_of_counts, item_item_tables
from recsys.core.errors import UsageError


def regressed(pairs: np.ndarray, item: int, sources: np.ndarray, ridge: float) -> np.ndarray:
    """Least squares by stacking √λ rows under the users', as in any textbook."""
    left = np.vstack([pairs[:, sources], np.sqrt(ridge) * np.eye(len(sources))])
    right = np.concatenate([pairs[:, item], np.zeros(len(sources))])
    return np.maximum(np.linalg.lstsq(left, right, rcond=None)[0], 0.0)


@given(st.integers(0, 50), st.floats(0.1, 50.0))
@settings(max_examples=25)
def test_every_column_is_a_regression_on_the_other_items(seed, ridge):
    pairs = (np.random.default_rng(seed).random((12, 9)) < 0.4).astype(np.float64)
    [table] = item_item_tables(sparse.csr_matrix(pairs.astype(np.float32)), 20, [ridge])
    for item, column in enumerate(table.toarray().T):
        shared = pairs.T @ pairs[:, item]
        sources = np.flatnonzero((shared > 0) & (np.arange(9) != item))
        wanted = np.zeros(9)
        wanted[sources] = regressed(pairs, item, sources, ridge)
        assert column == pytest.approx(wanted, abs=1e-4)


@given(st.integers(0, 30), st.integers(1, 4))
@settings(max_examples=20)
def test_the_sources_are_those_that_co_occur_most(seed, neighbours):
    pairs = (np.random.default_rng(seed).random((15, 8)) < 0.5).astype(np.float64)
    users, items = pairs.sum(1), np.maximum(pairs.sum(0), 1)
    near = (pairs / np.maximum(users, 1)[:, None] ** 0.7).T @ pairs / items**0.6
    np.fill_diagonal(near, 0)
    [table] = item_item_tables(sparse.csr_matrix(pairs.astype(np.float32)), neighbours, [1.0])
    for item, column in enumerate(table.toarray().T):
        border = np.sort(near[item])[-neighbours]
        assert (near[item][column > 0] >= border - 1e-6).all()
        assert np.count_nonzero(column) <= neighbours


def test_counts_take_the_smallest_type_that_holds_them():
    assert _kind_of_counts(sparse.csr_matrix(np.ones((4, 2), np.float32))) == np.uint16
    assert _kind_of_counts(sparse.csr_matrix(np.full((4, 2), 0.5, np.float32))) == np.float32
    many_users = sparse.csr_matrix(np.ones((70_000, 1), np.float32))
    assert _kind_of_counts(many_users) == np.float32


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_columns_of_a_large_catalogue_are_the_same(monkeypatch, weight):
    pairs = sparse.csr_matrix((np.random.default_rng(0).random((30, 12)) < 0.4).astype(np.float32))
    pairs = pairs * np.float32(weight)
    small = item_item_tables(pairs, 5, [3.0, 30.0])
    monkeypatch.setattr("recsys.closed_form.item_item.GRAM_BYTES", 0)
    for left, right in zip(small, item_item_tables(pairs, 5, [3.0, 30.0]), strict=True):
        assert left.toarray() == pytest.approx(right.toarray(), abs=1e-6)


@pytest.mark.parametrize("limit", ["_BLOCK_PRODUCTS", "_DENSE_BLOCK", "_BLOCK_ROWS"])
def test_small_blocks_give_the_same_tables(monkeypatch, limit):
    draw = np.random.default_rng(1)
    pairs, target = (
        sparse.csr_matrix((draw.random((30, 12)) < 0.4).astype(np.float32)) for _ in range(2)
    )
    [whole] = item_item_tables(pairs, 5, [3.0], target=target)
    monkeypatch.setattr(f"recsys.closed_form.item_item.{limit}", 25)
    [parts] = item_item_tables(pairs, 5, [3.0], target=target)
    assert (whole != parts).nnz == 0


@given(st.integers(0, 30))
@settings(max_examples=15)
def test_rows_speak_for_another_target(seed):
    """Columns regress what was bought on what was viewed; rows of items that belong together lie
    beneath the users'.
    """
    draw = np.random.default_rng(seed)
    viewed, bought = ((draw.random((14, 8)) < share).astype(np.float64) for share in (0.5, 0.2))
    side = 0.7 * (draw.random((3, 8)) < 0.4)
    rows, target = np.vstack([viewed, side]), np.vstack([bought, side])
    matrices = [sparse.csr_matrix(one.astype(np.float32)) for one in (rows, target)]
    [table] = item_item_tables(matrices[0], 20, [2.0], target=matrices[1])
    for item, column in enumerate(table.toarray().T):
        sources = np.flatnonzero((rows.T @ rows[:, item] > 0) & (np.arange(8) != item))
        left = np.vstack([rows[:, sources], np.sqrt(2.0) * np.eye(len(sources))])
        right = np.concatenate([target[:, item], np.zeros(len(sources))])
        wanted = np.zeros(8)
        wanted[sources] = np.maximum(np.linalg.lstsq(left, right, rcond=None)[0], 0.0)
        assert column == pytest.approx(wanted, abs=1e-4)


def test_two_items_by_hand():
    """Of three users of a, two took b: b from a is 2 / (3 + λ), a from b is 2 / (2 + λ)."""
    pairs = sparse.csr_matrix(np.array([[1, 1], [1, 1], [1, 0]], np.float32))
    [table] = item_item_tables(pairs, 5, [1.0])
    assert table.toarray() == pytest.approx(np.array([[0, 2 / 4], [2 / 3, 0]]))


@pytest.mark.parametrize("ridge", [1e-4, 2e-5])
def test_a_ridge_that_drowns_in_single_precision(ridge):
    """Three items of the same 3,000 users but a few."""
    pairs = np.ones((3_000, 3))
    pairs[0, 1] = pairs[1, 2] = 0
    pairs = np.vstack([pairs, np.eye(3)[:2]])
    twins = np.hstack([pairs, pairs])
    [table] = item_item_tables(sparse.csr_matrix(twins.astype(np.float32)), 20, [ridge])
    gram = twins.T @ twins
    for item in range(6):
        sources = np.delete(np.arange(6), item)
        left = gram[np.ix_(sources, sources)] + ridge * np.eye(5)
        wanted = np.maximum(np.linalg.solve(left, gram[sources, item]), 0)
        np.testing.assert_allclose(
            table[:, [item]].toarray().ravel()[sources], wanted, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("neighbours", "ridges", "words"),
    [(0, [1.0], "0 neighbours"), (3, [0.0], "above 0"), (3, [], "ridges")],
)
def test_settings_that_cannot_be(neighbours, ridges, words):
    with pytest.raises(UsageError, match=words):
        item_item_tables(sparse.csr_matrix((2, 2)), neighbours, ridges)

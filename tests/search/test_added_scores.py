"""Lists by inner product and what is added to some items, against the scores of all of them."""

import numpy as np
import pytest
from scipy import sparse

from recsys.core.ranking import NO_ITEM, Hits, top_k
from recsys.search.added_scores import is_dense, with_sparse_scores
from recsys.search.exact import ExactIndex
from recsys.search.planner import Planner


def test_lists_from_the_nearest_are_those_of_all_scores():
    rng = np.random.default_rng(0)
    for seed in range(20):
        queries, items = (
            rng.normal(size=(3, 4)).astype(np.float32),
            rng.normal(size=(30, 4)).astype(np.float32),
        )
        lent = sparse.csr_matrix(
            np.abs(rng.normal(size=(3, 30))) * (rng.random((3, 30)) < 0.2), dtype=np.float32
        )
        hidden = sparse.csr_matrix((rng.random((3, 30)) < 0.3).astype(np.float32))
        allow = np.random.default_rng(seed).random(30) < 0.8
        scores = queries @ items.T
        barred = hidden.toarray().astype(bool) | ~allow
        nearest = top_k(np.where(barred, -np.inf, scores).astype(np.float32), 5)
        found = with_sparse_scores(Hits(*nearest), queries, items, lent, hidden, allow)
        wanted = top_k(np.where(barred, -np.inf, scores + lent.toarray()).astype(np.float32), 5)
        assert found.items.tolist() == wanted.items.tolist()
        assert found.scores == pytest.approx(wanted.scores, abs=1e-5)


@pytest.mark.parametrize("gathered_numbers", [1, 500, 10**7])
def test_lists_of_many_rows_are_those_of_each_row_alone(gathered_numbers, monkeypatch):
    """However many rows are looked at together; some have nothing added, some nothing near."""
    monkeypatch.setattr("recsys.search.added_scores._GATHERED_NUMBERS", gathered_numbers)
    rng = np.random.default_rng(3)
    queries = rng.integers(-3, 4, (40, 5)).astype(np.float32)
    items = rng.integers(-3, 4, (60, 5)).astype(np.float32)
    added = sparse.random(40, 60, 0.15, format="csr", rng=rng, dtype=np.float32)
    added = added.multiply(np.arange(40)[:, None] % 4 > 0).tocsr()
    added.data[::9] = 0.0  # an explicit zero adds nothing
    exclude = sparse.random(40, 60, 0.2, format="csr", rng=rng, dtype=np.float32)
    allow = rng.random(60) < 0.7
    barred = exclude.toarray().astype(bool) | ~allow
    by_vector = np.where(barred, -np.inf, queries @ items.T).astype(np.float32)
    by_vector[5] = -np.inf
    nearest = Hits(*top_k(by_vector, 6))
    lists = with_sparse_scores(nearest, queries, items, added, exclude, allow)
    scores = np.where(barred, -np.inf, queries @ items.T + added.toarray())
    wanted = top_k(scores.astype(np.float32), 6)
    rows = np.arange(40) != 5
    assert lists.items[rows].tolist() == wanted.items[rows].tolist()
    assert lists.scores[rows] == pytest.approx(wanted.scores[rows], abs=1e-5)
    only_added = np.flatnonzero((added.toarray()[5] > 0) & ~barred[5])
    assert set(lists.items[5]) - {NO_ITEM} == set(only_added[np.isin(only_added, lists.items[5])])
    assert (lists.items[5] != NO_ITEM).sum() == min(6, len(only_added))
    for row in (0, 1, 5, 7, 39):
        one = slice(row, row + 1)
        hits = Hits(nearest.items[one], nearest.scores[one])
        alone = with_sparse_scores(hits, queries[one], items, added[one], exclude[one], allow)
        assert alone.items.tolist() == lists.items[one].tolist()


def test_no_rows_have_no_lists():
    nothing = Hits(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32))
    added = sparse.csr_matrix((0, 4), dtype=np.float32)
    lists = with_sparse_scores(nothing, np.zeros((0, 2), np.float32), np.eye(4, 2), added)
    assert lists.items.shape == lists.scores.shape == (0, 3)


@pytest.mark.parametrize("density", [0.001, 0.01, 0.03, 0.3])
def test_the_planner_lists_the_best_sums(density):
    """However many items something is added to."""
    rng = np.random.default_rng(7)
    queries = rng.integers(-3, 4, (40, 5)).astype(np.float32)
    items = rng.integers(-3, 4, (300, 5)).astype(np.float32)
    added = sparse.random(40, 300, density, format="csr", rng=rng, dtype=np.float32)
    exclude = sparse.random(40, 300, 0.2, format="csr", rng=rng, dtype=np.float32)
    allow = rng.random(300) < 0.7
    assert is_dense(added) == (density > 0.02)
    lists = Planner(ExactIndex(items)).search(queries, 6, exclude, allow, added)
    barred = exclude.toarray().astype(bool) | ~allow
    scores = np.where(barred, -np.inf, queries @ items.T + added.toarray())
    wanted = top_k(scores.astype(np.float32), 6)
    assert lists.items.tolist() == wanted.items.tolist()
    assert lists.scores == pytest.approx(wanted.scores, abs=1e-5)

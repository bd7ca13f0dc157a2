"""Ranking against hand-worked lists, the plain oracle and naive loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.core.errors import DataError, UsageError
from recsys.core.ranking import NO_ITEM, top_k
from recsys.search.exact import ExactIndex, VectorScorer, rank, select


class Table:
    """Scores as given."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)

    def score(self, users):
        return self.scores[users]


class SharedTable(Table):
    """Hands out its own state, as a scorer without personal scores may."""

    def score(self, users):
        return np.broadcast_to(self.scores[0], (len(users), self.scores.shape[1]))


def naive(scores, k, seen=None, candidates=None):
    """Sort every row in Python."""
    lists = []
    for row, values in enumerate(scores):
        hidden = set() if seen is None else set(seen[row].indices.tolist())
        allowed = [
            c
            for c in range(len(values))
            if c not in hidden and (candidates is None or candidates[c])
        ]
        ranked = sorted((c for c in allowed if values[c] > -np.inf), key=lambda c: (-values[c], c))[
            :k
        ]
        lists.append(ranked + [NO_ITEM] * (k - len(ranked)))
    return np.array(lists, np.int32).reshape(len(scores), k)


def test_by_hand():
    scores = [[0.1, 0.9, 0.9, 0.5], [1.0, 2.0, 3.0, 4.0]]
    seen = sparse.csr_matrix(([1.0], ([1], [3])), shape=(2, 4))
    candidates = np.array([True, True, True, True])
    hits = rank(Table(scores), np.array([0, 1], np.int32), 3, seen, candidates)
    assert hits.items.tolist() == [[1, 2, 3], [2, 1, 0]]
    assert hits.scores.tolist() == [pytest.approx([0.9, 0.9, 0.5]), [3.0, 2.0, 1.0]]


def test_lists_that_run_out_are_padded():
    hits = rank(
        Table([[3.0, 1.0, 2.0]]),
        np.array([0], np.int32),
        5,
        candidates=np.array([True, False, True]),
    )
    assert hits.items.tolist() == [[0, 2, NO_ITEM, NO_ITEM, NO_ITEM]]
    assert np.isneginf(hits.scores[0, 2:]).all()


@st.composite
def tables(draw):
    """Scores of few levels, so that ties are everywhere; some −inf; k beyond the catalogue too."""
    num_users, num_items = draw(st.integers(1, 7)), draw(st.integers(1, 40))
    levels = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(0, levels, (num_users, num_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    seen = sparse.csr_matrix((rng.random(scores.shape) < 0.3).astype(np.float32))
    candidates = rng.random(num_items) < 0.8
    return scores, draw(st.integers(1, num_items + 3)), seen, candidates


@settings(max_examples=150)
@given(tables(), st.sampled_from([None, 1, 2, 3]))
def test_rank_equals_the_naive_loop(table, block):
    scores, k, seen, candidates = table
    users = np.arange(len(scores), dtype=np.int32)
    hits = rank(Table(scores), users, k, seen, candidates, block=block, threads=2)
    assert hits.items.tolist() == naive(scores, k, seen, candidates).tolist()
    assert ((hits.items == NO_ITEM) == np.isneginf(hits.scores)).all()


@settings(max_examples=100)
@given(tables())
def test_select_equals_the_oracle(table):
    scores, k, _, _ = table
    fast, plain = select(scores.copy(), k), top_k(scores.copy(), k)
    assert fast.items.tolist() == plain.items.tolist()
    assert fast.scores.tolist() == plain.scores.tolist()


def test_vectors_equal_the_oracle_whatever_the_block(rng):
    users = rng.integers(-3, 4, (57, 6)).astype(
        np.float32
    )  # whole numbers: products are exact, ties are real
    items = rng.integers(-3, 4, (90, 6)).astype(np.float32)
    seen = sparse.random(57, 90, density=0.1, format="csr", random_state=0, dtype=np.float32)
    expected = naive(users @ items.T, 10, seen)
    for block, threads in [(None, None), (1, 2), (7, 3), (100, 1)]:
        hits = rank(
            VectorScorer(users, items),
            np.arange(57, dtype=np.int32),
            10,
            seen,
            block=block,
            threads=threads,
        )
        assert hits.items.tolist() == expected.tolist()


def test_a_subset_of_users_in_any_order(rng):
    scores = rng.normal(size=(9, 12)).astype(np.float32)
    seen = sparse.random(9, 12, density=0.4, format="csr", random_state=1, dtype=np.float32)
    users = np.array([7, 0, 7, 3], np.int32)
    hits = rank(Table(scores), users, 4, seen, block=3)
    assert hits.items.tolist() == naive(scores[users], 4, seen[users]).tolist()


def test_the_scorers_own_state_is_left_alone():
    table = SharedTable([[1.0, 2.0, 3.0]])
    seen = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    hits = rank(table, np.arange(3, dtype=np.int32), 1, seen)
    assert hits.items.ravel().tolist() == [2, 2, 1]
    assert table.scores.tolist() == [[1.0, 2.0, 3.0]]


def test_nobody_gets_nothing():
    hits = rank(Table(np.zeros((3, 4))), np.empty(0, np.int32), 2)
    assert hits.items.shape == hits.scores.shape == (0, 2)


def test_exact_index_equals_naive(rng):
    items = rng.integers(-2, 3, (30, 5)).astype(np.float32)
    queries = rng.integers(-2, 3, (4, 5)).astype(np.float32)
    allow = rng.random(30) < 0.5
    exclude = sparse.csr_matrix((rng.random((4, 30)) < 0.2).astype(np.float32))
    hits = ExactIndex(items).search(queries, 6, exclude, allow)
    assert hits.items.tolist() == naive(queries @ items.T, 6, exclude, allow).tolist()
    assert ExactIndex(items).search(queries[0], 6).items.shape == (1, 6)


def test_wrong_calls_teach():
    with pytest.raises(UsageError, match="k = 0"):
        rank(Table([[1.0]]), np.array([0], np.int32), 0)
    with pytest.raises(UsageError, match="mask of candidates"):
        rank(Table([[1.0, 2.0]]), np.array([0], np.int32), 1, candidates=np.ones(3, bool))
    with pytest.raises(UsageError, match="seen pairs are of 3 items, the scores of 2"):
        rank(Table([[1.0, 2.0]]), np.array([0], np.int32), 1, seen=sparse.csr_matrix((1, 3)))
    with pytest.raises(DataError, match="8 wide"):
        VectorScorer(np.zeros((2, 8), np.float32), np.zeros((2, 4), np.float32))
    with pytest.raises(DataError, match="1 of 2 item vectors"):
        ExactIndex(np.array([[1.0, 2.0], [np.nan, 0.0]], np.float32))

"""The planner: always k items when k are allowed, whichever way it searches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.exact import ExactIndex
from recsys.search.planner import Planner, choose_plan, num_left, without
from recsys.search.tuning import settings as index_settings

ITEMS, WIDTH = 120, 6
RNG = np.random.default_rng(5)
VECTORS = RNG.normal(size=(ITEMS, WIDTH)).astype(np.float32)
INDEXES = {
    kind: next(iter(index_settings(kind, VECTORS, 5, 0))).searcher for kind in ("hnsw", "ivf", "pq")
}


@st.composite
def requests(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 4))
    queries = rng.normal(size=(count, WIDTH)).astype(np.float32)
    exclude = sparse.csr_matrix(
        (rng.random((count, ITEMS)) < draw(st.sampled_from([0, 0.1, 0.9, 1]))).astype(np.int8)
    )
    allow = rng.random(ITEMS) < draw(st.sampled_from([0, 0.02, 0.15, 0.5, 0.95, 1]))
    return queries, draw(st.integers(1, ITEMS)), exclude, draw(st.sampled_from([None, allow]))


@settings(max_examples=120)
@given(requests(), st.sampled_from([None, "hnsw", "ivf", "pq"]))
def test_always_k_items_when_k_are_allowed(request, kind):
    queries, k, exclude, allow = request
    planner = Planner(ExactIndex(VECTORS), INDEXES[kind] if kind else None)
    hits = planner.search(queries, k, exclude if exclude.nnz else None, allow)
    assert hits.items.shape == (len(queries), k)
    for row, (items, scores) in enumerate(zip(hits.items, hits.scores, strict=True)):
        permitted = {
            i for i in range(ITEMS) if exclude[row, i] == 0 and (allow is None or allow[i])
        }
        found = items[items != NO_ITEM].tolist()
        assert len(found) == len(set(found)) == min(k, len(permitted))
        assert set(found) <= permitted
        assert items[: len(found)].tolist() == found  # padding only behind
        assert np.allclose(scores[: len(found)], VECTORS[found] @ queries[row], atol=1e-5)
        assert (np.diff(scores[: len(found)]) <= 1e-6).all()


def test_blocks_of_queries_change_nothing(monkeypatch):
    queries = RNG.normal(size=(9, WIDTH)).astype(np.float32)
    exclude = sparse.csr_matrix(
        (RNG.random((9, ITEMS)) < np.linspace(0, 0.5, 9)[:, None]).astype(np.int8)
    )
    planner = Planner(ExactIndex(VECTORS), INDEXES["hnsw"])
    whole = planner.search(queries, 5, exclude)
    monkeypatch.setattr("recsys.search.planner._QUERIES_AT_ONCE", 2)
    assert planner.search(queries, 5, exclude).items.tolist() == whole.items.tolist()


@settings(max_examples=60)
@given(requests())
def test_exact_plans_agree_with_a_scan(request):
    queries, k, exclude, allow = request
    scores = np.where(exclude.toarray() > 0, -np.inf, queries @ VECTORS.T)
    scores = scores if allow is None else np.where(allow, scores, -np.inf)
    hits = Planner(ExactIndex(VECTORS)).search(queries, k, exclude, allow)
    best = -np.sort(-scores, axis=1)[:, :k]
    assert np.allclose(hits.scores, best, atol=1e-5)


@pytest.mark.parametrize(
    ("allowed", "approximate", "plan"),
    [
        (0, True, "subset"),
        (24, True, "subset"),
        (25, False, "scan"),
        (60, True, "selector"),
        (120, True, "overfetch"),
    ],
)
def test_plans(allowed, approximate, plan):
    assert choose_plan(ITEMS, allowed, approximate) == plan


def test_excluded_items_are_taken_out_in_order():
    hits = Hits(
        np.array([[4, 2, NO_ITEM], [1, 3, 0]], np.int32),
        np.array([[3, 2, -np.inf], [9, 8, 7]], np.float32),
    )
    exclude = sparse.csr_matrix(([1, 1], ([0, 1], [4, 3])), shape=(2, 5))
    found = without(hits, exclude, 4)
    assert found.items.tolist() == [[2, NO_ITEM, NO_ITEM, NO_ITEM], [1, 0, NO_ITEM, NO_ITEM]]
    assert found.scores[:, 0].tolist() == [2.0, 9.0]
    assert np.isneginf(found.scores[0, 1:]).all()


def test_num_left():
    exclude = sparse.csr_matrix(([1, 1, 1], ([0, 0, 1], [0, 1, 2])), shape=(2, 4))
    assert num_left(2, 4, exclude, np.array([True, False, True, True])).tolist() == [2, 2]
    assert num_left(2, 4, exclude, None).tolist() == [2, 3]
    assert num_left(1, 4, None, None).tolist() == [4]

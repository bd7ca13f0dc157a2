"""Exact top-k: the oracle of every index, and the way evaluation ranks."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, IntArray
from recsys.core.errors import DataError, UsageError
from recsys.core.machine import cores
from recsys.core.ranking import NO_ITEM, Hits, Scorer, top_k

_BLOCK_BYTES = (
    16 << 20
)  # of scores at once: small enough that the allocator hands the same pages out again


@dataclass(frozen=True)
class VectorScorer:
    """Scores are inner products. user_vectors: (users, d), item_vectors: (items, d), float32 and
    finite.
    """

    user_vectors: Float32Array
    item_vectors: Float32Array

    def __post_init__(self) -> None:
        if self.user_vectors.shape[1] != self.item_vectors.shape[1]:
            raise DataError(
                f"user vectors are {self.user_vectors.shape[1]} wide, item vectors {self.item_vectors.shape[1]}",
                "Take both from one training",
            )
        require_finite(self.user_vectors, "user vectors")
        require_finite(self.item_vectors, "item vectors")

    def score(self, users: Int32Array) -> Float32Array:
        return self.user_vectors[users] @ self.item_vectors.T


def rank(
    scorer: Scorer,
    users: Int32Array,
    k: int,
    seen: sparse.csr_matrix | None = None,
    candidates: BoolArray | None = None,
    block: int | None = None,
    threads: int | None = None,
) -> Hits:
    """The k best items of each of `users` (n,), without the items of their row in `seen` (users,
    items).

    candidates: (items,) true where an item may be recommended. block: users scored at once, by
    memory when absent. threads: all cores when absent; every one scores its own blocks, so
    `scorer.score` must bear being called in several threads. Ties go to the smaller id. Raises
    UsageError when k < 1 or the shapes disagree.
    """
    if k < 1:
        raise UsageError(f"k = {k}: a list holds at least one item")
    users = np.asarray(users)
    step = block or _users_at_once(scorer, users)
    blocks = [users[at : at + step] for at in range(0, len(users), step)] or [users]
    if len(blocks) == 1:
        # Waking the threads of a pool costs milliseconds on a busy machine: more than a short list
        # does.
        with faiss_threads(1):
            return _rank_block(scorer, k, seen, candidates, users)
    with _workers(min(threads or cores(), len(blocks))) as workers:
        found = list(workers.map(partial(_rank_block, scorer, k, seen, candidates), blocks))
    return Hits(
        np.concatenate([hits.items for hits in found]),
        np.concatenate([hits.scores for hits in found]),
    )


@contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each compute alone: the thread pools of BLAS and FAISS spin against each other
    when both run.
    """
    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(
            threads, initializer=faiss.omp_set_num_threads, initargs=(1,)
        ) as workers,
    ):
        yield workers


def _users_at_once(scorer: Scorer, users: Int32Array) -> int:
    if len(users) <= 1:
        return 1
    return _rows_at_once(scorer.score(users[:1]).shape[1])


def _rows_at_once(num_items: int) -> int:
    return int(np.clip(_BLOCK_BYTES // (4 * max(num_items, 1)), 1, 4096))


def _rank_block(
    scorer: Scorer,
    k: int,
    seen: sparse.csr_matrix | None,
    candidates: BoolArray | None,
    users: Int32Array,
) -> Hits:
    # A scorer may hand out a view of its own state: such an array is copied before anything is
    # masked in it.
    scores = np.require(scorer.score(users), np.float32, ["C", "W", "O"])
    _check_width(scores.shape[1], seen, candidates)
    if candidates is not None:
        scores[:, ~np.asarray(candidates, bool)] = -np.inf
    if seen is not None:
        scores[pairs_of(seen, users)] = -np.inf
    return select(scores, k)


def _check_width(
    num_items: int, seen: sparse.csr_matrix | None, candidates: BoolArray | None
) -> None:
    if candidates is not None and candidates.shape != (num_items,):
        raise UsageError(
            f"the mask of candidates has shape {candidates.shape}, the scores are of {num_items} items"
        )
    if seen is not None and seen.shape[1] != num_items:
        raise UsageError(f"the seen pairs are of {seen.shape[1]} items, the scores of {num_items}")


def pairs_of(
    matrix: sparse.csr_matrix, rows: IntArray
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions (row place in `rows`, column) of the entries of some rows of a CSR matrix."""
    starts = matrix.indptr[rows].astype(np.int64)
    counts = matrix.indptr[np.asarray(rows) + 1] - starts
    place = np.repeat(np.arange(len(rows)), counts)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(rows) else np.empty(0, np.int64)
    return place, matrix.indices[
        np.arange(counts.sum()) + np.repeat(starts - before, counts)
    ].astype(np.intp)


def select(scores: Float32Array, k: int) -> Hits:
    """`core.ranking.top_k`, several times faster: a heap in FAISS, repaired where ties reach over
    the border.

    scores: (queries, items) float32, contiguous; −inf marks what may not be recommended.
    """
    num_items = scores.shape[1]
    if k >= num_items or not len(scores):
        return top_k(scores, k)
    values, found = faiss.kmax(scores, k + 1)
    ambiguous = np.flatnonzero((values[:, k - 1] == values[:, k]) & (found[:, k] >= 0))
    items, values = found[:, :k].astype(np.int32), values[:, :k]
    items, values = _ties_by_id(
        items, np.where(items == NO_ITEM, -np.inf, values).astype(np.float32)
    )
    for row in ambiguous:
        again = top_k(scores[row : row + 1], k)
        items[row], values[row] = again.items[0], again.scores[0]
    return Hits(items, values)


def _ties_by_id(items: Int32Array, values: Float32Array) -> tuple[Int32Array, Float32Array]:
    """Rows sorted by falling value, with equal values in ascending order of item."""
    wrong = (
        (values[:, 1:] == values[:, :-1])
        & (items[:, 1:] < items[:, :-1])
        & (items[:, 1:] != NO_ITEM)
    )
    rows = np.flatnonzero(wrong.any(axis=1))
    order = np.lexsort((items[rows], -values[rows]), axis=1)
    items[rows] = np.take_along_axis(items[rows], order, axis=1)
    values[rows] = np.take_along_axis(values[rows], order, axis=1)
    return items, values


class ExactIndex:
    """Every item vector is compared. item_vectors: (items, d), float32 and finite."""

    def __init__(self, item_vectors: Float32Array) -> None:
        require_finite(item_vectors, "item vectors")
        self.item_vectors = item_vectors

    def search(
        self,
        queries: Float32Array,
        k: int,
        exclude: sparse.csr_matrix | None = None,
        allow: BoolArray | None = None,
    ) -> Hits:
        """The k best inner products of each query (n, d); exclude: (n, items) pairs left out;
        allow: (items,) mask.
        """
        scorer = _Products(np.atleast_2d(queries), self.item_vectors)
        users = np.arange(len(scorer.queries), dtype=np.int32)
        return rank(scorer, users, k, exclude, allow, block=_rows_at_once(len(self.item_vectors)))


@dataclass(frozen=True)
class _Products:
    """VectorScorer without its checks, which cost as much as one query."""

    queries: Float32Array
    items: Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        return self.queries[users] @ self.items.T


def require_finite(vectors: Float32Array, name: str) -> None:
    """Raises DataError when a vector holds NaN or infinity: nothing can be ranked by it."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise DataError(
            f"{len(broken)} of {len(vectors)} {name} are not finite, the first is row {broken[0]}",
            "Train again",
        )


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """FAISS on `count` threads within the block, for calls from this thread."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def excluded_lists(lists: Sequence[IntArray], num_items: int) -> sparse.csr_matrix:
    """(queries, items) with one entry per excluded pair; each list is ascending."""
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists], dtype=np.int64)])
    indices = np.concatenate(lists) if lists else np.empty(0, np.int32)
    return sparse.csr_matrix(
        (np.ones(len(indices), np.int8), indices, indptr), shape=(len(lists), num_items)
    )

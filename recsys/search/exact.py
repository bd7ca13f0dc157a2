"""Exact top-k: the oracle of every index, and the way evaluation ranks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, IntArray
from recsys.core.errors import DataError, UsageError
from recsys.core.machine import cores
from recsys.core.ranking import NO_ITEM, Hits, Scorer, top_k
from recsys.search.faiss_kernels import largest, search_threads, set_search_threads

# Of scores at once: small enough that the allocator hands the same pages out again.
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class VectorScorer:
    """Scores are inner products.

    user_vectors: (users, d) float32 and finite.
    item_vectors: (items, d) float32 and finite.
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
    """The k best items of each user; ties go to the smaller id.

    Args:
        scorer: gives the scores; called in several threads at once.
        users: (n,) whose lists are wanted.
        k: length of a list.
        seen: (users, items) pairs that are left out of the lists.
        candidates: (items,) true where an item may be recommended.
        block: users scored at once, by memory when absent.
        threads: all cores when absent; every one scores blocks of its own.

    Returns:
        (n, k) items and scores.

    Raises:
        UsageError: k < 1, or the shapes disagree.
    """
    if k < 1:
        raise UsageError(f"k = {k}: a list holds at least one item")
    users = np.asarray(users)
    step = block or _users_at_once(scorer, users)
    blocks = [users[start : start + step] for start in range(0, len(users), step)]
    if len(blocks) <= 1:
        # Waking the threads of a pool costs milliseconds on a busy machine: more than a short list
        # does.
        with search_threads(1):
            return _rank_block(scorer, k, seen, candidates, users)
    rank_block = partial(_rank_block, scorer, k, seen, candidates)
    lists = _in_threads(rank_block, blocks, min(threads or cores(), len(blocks)))
    items = np.concatenate([hits.items for hits in lists])
    scores = np.concatenate([hits.scores for hits in lists])
    return Hits(items, scores)


def _in_threads(
    rank_block: "partial[Hits]", blocks: Sequence[Int32Array], threads: int
) -> list[Hits]:
    """The lists of every block. Each thread computes alone: the thread pools of BLAS and FAISS spin
    against each other when both run.
    """
    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(threads, initializer=set_search_threads, initargs=(1,)) as workers,
    ):
        return list(workers.map(rank_block, blocks))


def _users_at_once(scorer: Scorer, users: Int32Array) -> int:
    if len(users) <= 1:
        return 1
    num_items = scorer.score(users[:1]).shape[1]
    return rows_at_once(num_items)


def rows_at_once(num_items: int) -> int:
    """Users scored at once. A product of matrices depends in its last bits on their number, so whoever
    divides users among processes divides them at multiples of it.
    """
    row_bytes = 4 * max(num_items, 1)
    return int(np.clip(_BLOCK_BYTES // row_bytes, 1, 4096))


def divide(num_users: int, num_items: int, buckets: int) -> list[tuple[int, int]]:
    """First user and the one behind the last of each bucket, as many as have users: the scores of a
    user are then the same in its bucket as among all, to the last bit.
    """
    step = rows_at_once(num_items)
    num_steps = max(-(-num_users // step), 1)
    borders = []
    for bucket in range(buckets + 1):
        borders.append(min(num_steps * bucket // buckets * step, num_users))
    stretches = list(pairwise(borders))
    return [stretch for stretch in stretches if stretch[0] < stretch[1]] or [(0, 0)]


def _rank_block(
    scorer: Scorer,
    k: int,
    seen: sparse.csr_matrix | None,
    candidates: BoolArray | None,
    users: Int32Array,
) -> Hits:
    """The lists of a few users; arguments as of `rank`."""
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
    row_place = np.repeat(np.arange(len(rows)), counts)

    # The n-th entry of the result stands n − (entries of the rows before) behind its row's start.
    before = np.cumsum(counts) - counts
    entries = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    columns = matrix.indices[entries].astype(np.intp)
    return row_place, columns


def select(scores: Float32Array, k: int) -> Hits:
    """`core.ranking.top_k`, several times faster: by a heap, repaired where ties reach over the
    border.

    scores: (queries, items) float32, contiguous; −inf marks what may not be recommended.
    """
    num_items = scores.shape[1]
    if k >= num_items or not len(scores):
        return top_k(scores, k)
    # One more than wanted: where it equals the last one, the heap may have kept the wrong of them.
    values, columns = largest(scores, k + 1)
    border_tie = (values[:, k - 1] == values[:, k]) & (columns[:, k] >= 0)
    items = columns[:, :k].astype(np.int32)
    kept_values = values[:, :k].astype(np.float32)
    kept_values[items == NO_ITEM] = -np.inf
    items, kept_values = _ties_by_id(items, kept_values)
    for row in np.flatnonzero(border_tie):
        repaired = top_k(scores[row : row + 1], k)
        items[row] = repaired.items[0]
        kept_values[row] = repaired.scores[0]
    return Hits(items, kept_values)


def _ties_by_id(items: Int32Array, values: Float32Array) -> tuple[Int32Array, Float32Array]:
    """Rows sorted by falling value, with equal values in ascending order of item."""
    equal = values[:, 1:] == values[:, :-1]
    falling_ids = (items[:, 1:] < items[:, :-1]) & (items[:, 1:] != NO_ITEM)
    rows = np.flatnonzero((equal & falling_ids).any(axis=1))
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
        added: sparse.csr_matrix | None = None,
    ) -> Hits:
        """The k best inner products of each query.

        Args:
            queries: (n, d).
            k: length of a list.
            exclude: (n, items) pairs left out.
            allow: (items,) mask for all queries.
            added: (n, items) what is added to the products.
        """
        scorer = _Products(np.atleast_2d(queries), self.item_vectors, added)
        rows = np.arange(len(scorer.queries), dtype=np.int32)
        block = rows_at_once(len(self.item_vectors))
        return rank(scorer, rows, k, exclude, allow, block=block)


@dataclass(frozen=True)
class _Products:
    """VectorScorer without its checks, which cost as much as one query, and with what is added."""

    queries: Float32Array
    items: Float32Array
    added: sparse.csr_matrix | None = None

    def score(self, users: Int32Array) -> Float32Array:
        scores: Float32Array = self.queries[users] @ self.items.T
        if self.added is not None:
            added = self.added[users]
            scores[pairs_of(added, np.arange(len(users)))] += added.data
        return scores


def require_finite(vectors: Float32Array, name: str) -> None:
    """Raises DataError when a vector holds NaN or infinity: nothing can be ranked by it."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise DataError(
            f"{len(broken)} of {len(vectors)} {name} are not finite, the first is row {broken[0]}",
            "Train again",
        )


def excluded_lists(lists: Sequence[IntArray], num_items: int) -> sparse.csr_matrix:
    """(queries, items) with one entry per excluded pair; each list is ascending."""
    if not lists:
        return sparse.csr_matrix((0, num_items), dtype=np.int8)
    lengths = np.array([len(items) for items in lists], np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.concatenate(lists)
    entries = np.ones(len(indices), np.int8)
    return sparse.csr_matrix((entries, indices, indptr), shape=(len(lists), num_items))

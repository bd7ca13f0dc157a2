"""Top-k under filters: always k items when k are allowed, by the cheapest way that can promise it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Int64Array, IntArray
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.added_scores import is_dense, with_sparse_scores
from recsys.search.exact import ExactIndex, pairs_of
from recsys.search.searcher import Searcher

Plan = Literal["subset", "scan", "selector", "overfetch"]
"""subset: compare the allowed vectors alone. scan: compare all, mask. selector: approximate index
that skips what is not allowed. overfetch: approximate index, asked for more than k, excluded items
dropped afterwards.
"""

# Copying the allowed rows together costs about four times their share of a scan; an index that
# skips most of what it visits returns short or poor lists well before that.
_SUBSET_SHARE = 0.2
_QUERIES_AT_ONCE = 512


def choose_plan(num_items: int, num_allowed: int, approximate: bool) -> Plan:
    """How to search when `num_allowed` of `num_items` may be recommended."""
    if num_allowed <= _SUBSET_SHARE * num_items:
        return "subset"
    if not approximate:
        return "scan"
    return "overfetch" if num_allowed == num_items else "selector"


@dataclass(frozen=True)
class Planner:
    """Search with exclusions per query and one mask of allowed items. approximate: None for exact
    search.
    """

    exact: ExactIndex
    approximate: Searcher | None = None

    @property
    def num_items(self) -> int:
        return len(self.exact.item_vectors)

    def search(
        self,
        queries: Float32Array,
        k: int,
        exclude: sparse.csr_matrix | None = None,
        allow: BoolArray | None = None,
        added: sparse.csr_matrix | None = None,
    ) -> Hits:
        """The k best items of each query.

        Args:
            queries: (n, d).
            k: length of a list.
            exclude: (n, items), entries are never returned.
            allow: (items,) mask for all queries.
            added: (n, items), none negative, what is added to the inner products of some items.

        Returns:
            Lists that are shorter than k (padded with NO_ITEM) only where fewer than k items are
            left.
        """
        if added is None:
            return self._by_products(queries, k, exclude, allow)
        if is_dense(added):
            return self.exact.search(queries, k, exclude, allow, added)
        hits = self._by_products(queries, k, exclude, allow)
        return with_sparse_scores(hits, queries, self.exact.item_vectors, added, exclude, allow)

    def _by_products(
        self,
        queries: Float32Array,
        k: int,
        exclude: sparse.csr_matrix | None,
        allow: BoolArray | None,
    ) -> Hits:
        """The k best by inner product alone."""
        num_allowed = self.num_items if allow is None else int(np.count_nonzero(allow))
        plan = choose_plan(self.num_items, num_allowed, self.approximate is not None)
        if plan == "subset" and allow is not None:
            return self._subset(queries, k, exclude, np.flatnonzero(allow))
        if plan == "scan" or self.approximate is None:
            return self.exact.search(queries, k, exclude, allow)
        return self._complete(self.approximate, queries, k, exclude, allow)

    def _subset(
        self,
        queries: Float32Array,
        k: int,
        exclude: sparse.csr_matrix | None,
        allowed: NDArray[np.intp],
    ) -> Hits:
        """Exact search among the allowed rows alone; they are ascending, so ties still go to the
        smaller id.
        """
        if not len(allowed):
            return no_hits(len(queries), k)
        exclude_among = None if exclude is None else exclude[:, allowed]
        index = ExactIndex(self.exact.item_vectors[allowed])
        hits = index.search(queries, k, exclude_among)
        items = allowed[hits.items]
        items[hits.items == NO_ITEM] = NO_ITEM
        return Hits(items.astype(np.int32), hits.scores)

    def _complete(
        self,
        searcher: Searcher,
        queries: Float32Array,
        k: int,
        exclude: sparse.csr_matrix | None,
        allow: BoolArray | None,
    ) -> Hits:
        """Approximate search in blocks of queries with about as many excluded items, so that few
        fetch as many as one. Lists that come out short are searched for exactly.
        """
        num_excluded = _entries(exclude, len(queries))
        order = np.argsort(num_excluded, kind="stable")
        hits = no_hits(len(queries), k)
        for start in range(0, len(order), _QUERIES_AT_ONCE):
            rows = order[start : start + _QUERIES_AT_ONCE]
            fetch = min(k + int(num_excluded[rows].max()), self.num_items)
            fetched = searcher.search(queries[rows], fetch, allow)
            block = without(fetched, _rows_of(exclude, rows), k)
            hits.items[rows], hits.scores[rows] = block.items, block.scores

        left = num_left(len(queries), self.num_items, exclude, allow)
        length = (hits.items != NO_ITEM).sum(axis=1)
        short = np.flatnonzero(length < np.minimum(k, left))
        if len(short):
            exact = self.exact.search(queries[short], k, _rows_of(exclude, short), allow)
            hits.items[short], hits.scores[short] = exact.items, exact.scores
        return hits


def _entries(matrix: sparse.csr_matrix | None, num_rows: int) -> Int64Array:
    """(rows,) how many entries each row has."""
    if matrix is None:
        return np.zeros(num_rows, np.int64)
    return np.asarray(np.diff(matrix.indptr), np.int64)


def _rows_of(matrix: sparse.csr_matrix | None, rows: IntArray) -> sparse.csr_matrix | None:
    return None if matrix is None else matrix[rows]


def no_hits(num_queries: int, k: int) -> Hits:
    """Lists of padding alone."""
    shape = (num_queries, k)
    return Hits(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))


def num_left(
    num_queries: int,
    num_items: int,
    exclude: sparse.csr_matrix | None,
    allow: BoolArray | None,
) -> Int64Array:
    """(queries,) how many items each query may be answered with."""
    allowed = num_items if allow is None else int(np.count_nonzero(allow))
    if exclude is None:
        return np.full(num_queries, allowed)
    # Excluded items that are not allowed anyway take nothing away.
    query, item = pairs_of(exclude, np.arange(num_queries))
    counted = query if allow is None else query[allow[item]]
    return allowed - np.bincount(counted, minlength=num_queries)


def without(hits: Hits, exclude: sparse.csr_matrix | None, k: int) -> Hits:
    """The first k of each list after its excluded items are taken out, order kept."""
    keep = hits.items != NO_ITEM
    if exclude is not None:
        # A pair of query and item as one number.
        num_items = np.int64(exclude.shape[1])
        query, item = pairs_of(exclude, np.arange(len(hits.items)))
        pairs = np.arange(len(hits.items))[:, None] * num_items + hits.items
        keep &= ~np.isin(pairs, query * num_items + item)
    # What stays comes first, in its order.
    order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    stays = np.take_along_axis(keep, order, axis=1)
    width = stays.shape[1]
    shortened = no_hits(len(hits.items), k)
    items = np.take_along_axis(hits.items, order, axis=1)
    scores = np.take_along_axis(hits.scores, order, axis=1)
    shortened.items[:, :width] = np.where(stays, items, NO_ITEM)
    shortened.scores[:, :width] = np.where(stays, scores, -np.inf)
    return shortened

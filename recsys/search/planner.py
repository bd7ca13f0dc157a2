"""Top-k under filters: always k items when k are allowed, by the cheapest way that can promise it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Int64Array
from recsys.core.ranking import NO_ITEM, Hits
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
    ) -> Hits:
        """The k best items of each query (n, d).

        exclude: (n, items), entries are never returned. allow: (items,) mask for all queries. A
        list is shorter than k (padded with NO_ITEM) only where fewer than k items are left.
        """
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
        inside = None if exclude is None else exclude[:, allowed]
        found = ExactIndex(self.exact.item_vectors[allowed]).search(queries, k, inside)
        items = np.where(found.items == NO_ITEM, NO_ITEM, allowed[found.items]).astype(np.int32)
        return Hits(items, found.scores)

    def _complete(
        self,
        index: Searcher,
        queries: Float32Array,
        k: int,
        exclude: sparse.csr_matrix | None,
        allow: BoolArray | None,
    ) -> Hits:
        """Approximate search in blocks of queries with about as many excluded items, so that few
        fetch as many as one.
        """
        excluded = np.zeros(len(queries), np.int64) if exclude is None else np.diff(exclude.indptr)
        order = np.argsort(excluded, kind="stable")
        found = no_hits(len(queries), k)
        for rows in (
            order[at : at + _QUERIES_AT_ONCE] for at in range(0, len(order), _QUERIES_AT_ONCE)
        ):
            fetch = min(k + int(excluded[rows].max()), self.num_items)
            inside = None if exclude is None else exclude[rows]
            hits = without(index.search(queries[rows], fetch, allow), inside, k)
            found.items[rows], found.scores[rows] = hits.items, hits.scores
        left = num_left(len(queries), self.num_items, exclude, allow)
        short = np.flatnonzero((found.items != NO_ITEM).sum(axis=1) < np.minimum(k, left))
        if len(short):
            again = self.exact.search(
                queries[short], k, None if exclude is None else exclude[short], allow
            )
            found.items[short], found.scores[short] = again.items, again.scores
        return found


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
    row, column = pairs_of(exclude, np.arange(num_queries))
    counted = row if allow is None else row[allow[column]]
    return allowed - np.bincount(counted, minlength=num_queries)


def without(hits: Hits, exclude: sparse.csr_matrix | None, k: int) -> Hits:
    """The first k of each list after its excluded items are taken out, order kept."""
    keep = hits.items != NO_ITEM
    if exclude is not None:
        row, column = pairs_of(exclude, np.arange(len(hits.items)))
        width = np.int64(exclude.shape[1])
        keys = np.arange(len(hits.items))[:, None] * width + hits.items
        keep &= ~np.isin(keys, row * width + column)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(keep, order, axis=1)
    items = np.where(kept, np.take_along_axis(hits.items, order, axis=1), NO_ITEM).astype(np.int32)
    scores = np.where(kept, np.take_along_axis(hits.scores, order, axis=1), -np.inf).astype(
        np.float32
    )
    missing = k - items.shape[1]
    if missing > 0:
        items = np.pad(items, ((0, 0), (0, missing)), constant_values=NO_ITEM)
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    return Hits(items, scores)

"""The items of lists, before they get names: by vector, or by popularity where there is none."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import BoolArray, Float32Array
from recsys.core.errors import UsageError
from recsys.core.history import stacked
from recsys.core.ranking import NO_ITEM, Hits
from recsys.encode.history_scores import with_sparse_scores
from recsys.lookup.cold_start import Request
from recsys.lookup.options import ListOptions
from recsys.search.diversity import CANDIDATES, diversified
from recsys.search.exact import ExactIndex, excluded_lists, select
from recsys.search.planner import Planner
from recsys.search.popularity_boost import boosted_queries


class ListSearch:
    """Searches the items of one bundle for many requests at once."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.planner = Planner(ExactIndex(bundle.search_vectors), bundle.index)

    def search(
        self, requests: Sequence[Request], options: ListOptions, allowed: BoolArray | None
    ) -> Hits:
        """The page that is asked for of every list."""
        k = options.end
        if options.diversity:
            k = max(k, CANDIDATES)
        hits = self._best(requests, k, allowed, options.popularity)
        if options.diversity:
            hits = diversified(hits, self.bundle.item_vectors, options.diversity, options.end)
        return Hits(hits.items[:, options.offset :], hits.scores[:, options.offset :])

    def _best(
        self,
        requests: Sequence[Request],
        k: int,
        allowed: BoolArray | None,
        popularity: float,
    ) -> Hits:
        """Lists of all requests, each by its vector or by popularity; empty for the refused."""
        k = min(k, len(self.bundle.items))
        shape = (len(requests), k)
        hits = Hits(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
        with_vector = []
        without_vector = []
        for row, request in enumerate(requests):
            if request.vector is not None:
                with_vector.append(row)
            elif request.refusal is None:
                without_vector.append(row)
        if with_vector:
            chosen = [requests[row] for row in with_vector]
            best = self._by_vector(chosen, k, allowed, popularity)
            hits.items[with_vector] = best.items
            hits.scores[with_vector] = best.scores
        if without_vector:
            chosen = [requests[row] for row in without_vector]
            popular = self._by_popularity(chosen, k, allowed)
            hits.items[without_vector] = popular.items
            hits.scores[without_vector] = popular.scores
        return hits

    def _by_vector(
        self, requests: Sequence[Request], k: int, allowed: BoolArray | None, popularity: float
    ) -> Hits:
        planner = self._boosted_planner if popularity else self.planner
        vectors = []
        seen = []
        for request in requests:
            vectors.append(np.asarray(request.vector))
            seen.append(request.excluded)
        queries = np.stack(vectors)
        excluded = excluded_lists(seen, len(self.bundle.items))
        if not excluded.nnz:
            excluded = None
        history_scores = self.bundle.added
        if history_scores is None:
            return planner.search(self._boosted(queries, popularity), k, excluded, allowed)
        # Low-pass and trend are inner products too, beside those of the trained vectors ...
        past = stacked([request.past for request in requests if request.past is not None])
        queries = np.hstack([queries, history_scores.queries(past.items)])
        queries = self._boosted(queries, popularity)
        hits = planner.search(queries, k, excluded, allowed)
        # ... and what the item–item table adds to some items is none: it is added to the nearest.
        added = history_scores.sparse_scores(past)
        return with_sparse_scores(
            hits, queries, planner.exact.item_vectors, added, excluded, allowed
        )

    def _boosted(self, queries: Float32Array, popularity: float) -> Float32Array:
        """Queries with a popularity boost. Raises UsageError where the bundle has no vectors for
        it.
        """
        if not popularity:
            return queries
        if self.bundle.boost_unit is None:
            raise UsageError(
                "this bundle was written before there was a popularity boost",
                "Write it with recsys index",
            )
        return boosted_queries(queries, popularity, self.bundle.boost_unit)

    def _by_popularity(
        self, requests: Sequence[Request], k: int, allowed: BoolArray | None
    ) -> Hits:
        """Share of users, or of those of a segment, who had each item under the target behaviour."""
        rows = []
        for request in requests:
            scores = self.bundle.shares(request.segment).copy()
            scores[request.excluded] = -np.inf
            if allowed is not None:
                scores[~allowed] = -np.inf
            rows.append(scores)
        return select(np.stack(rows), k)

    @cached_property
    def _boosted_planner(self) -> Planner:
        return Planner(ExactIndex(self.bundle.boosted_vectors), self.bundle.boosted_index)

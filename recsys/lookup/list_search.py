"""The items of lists, before they get names: by vector, or by popularity where there is none."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import BoolArray, Float32Array, Float64Array
from recsys.core.artefacts import no_pause
from recsys.core.errors import UsageError
from recsys.core.ranking import NO_ITEM, Hits
from recsys.lookup.allowed import available_items
from recsys.lookup.cold_start import Request
from recsys.lookup.options import ListOptions
from recsys.lookup.past import stacked_pasts
from recsys.lookup.ranked_users import ranked_users
from recsys.search.diversity import CANDIDATES, diversified
from recsys.search.exact import ExactIndex, excluded_lists, pairs_of, select
from recsys.search.planner import Planner
from recsys.search.popularity_boost import (
    NUM_LEADERS,
    boost_factors,
    boosted_queries,
    lead_of_popular,
    means_of_new,
)


class ListSearch:
    """Searches the items of one bundle for many requests at once."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.planner = Planner(ExactIndex(bundle.search_vectors), bundle.index)

    def boost_factors(self, requests: Sequence[Request], boost: float) -> Float64Array:
        """(requests,) what ln(1 + users of an item) is multiplied by in the lists of each, by how far
        the best of the list stand above an average item that is new to them. 0 where popularity answers.

        Filters and other options do not change them: an item gains as much in every list of a user.
        Raises UsageError where the bundle has no vectors for a boost.
        """
        factors = np.zeros(len(requests))
        with_vector = _with_vector(requests)
        if not boost or not with_vector:
            return factors
        self._require_boost()
        chosen = [requests[row] for row in with_vector]
        queries, added = self._queries(chosen)
        known = excluded_lists([request.target_items for request in chosen], self._num_items)
        leaders = self.planner.search(
            queries, min(NUM_LEADERS, self._num_items), known, available_items(self.bundle), added
        )
        means = self._means_of_new(queries, added, known)
        factors[with_vector] = boost_factors(boost, leaders, means, self._lead_of_popular)
        return factors

    def search(
        self,
        requests: Sequence[Request],
        options: ListOptions,
        allowed: BoolArray | None,
        factors: Float64Array | None = None,
        between: Callable[[], None] = no_pause,
        both_stages: bool = True,
    ) -> Hits:
        """The page that is asked for of every list.

        Args:
            requests: Who is asked about.
            options: Of all lists.
            allowed: (items,) what may be recommended.
            factors: `boost_factors` of the requests and options; None for no boost.
            between: Called before each list that is diversified.
            both_stages: Whether the second stage orders candidates, where the bundle has one.
        """
        k = options.end
        if options.diversity:
            k = max(k, CANDIDATES)
        hits = self._best(requests, k, allowed, factors, both_stages)
        if options.diversity:
            vectors = self.bundle.item_vectors
            hits = diversified(hits, vectors, options.diversity, options.end, between)
        return Hits(hits.items[:, options.offset :], hits.scores[:, options.offset :])

    def _best(
        self,
        requests: Sequence[Request],
        k: int,
        allowed: BoolArray | None,
        factors: Float64Array | None,
        both_stages: bool,
    ) -> Hits:
        """Lists of all requests, each by its vector or by popularity; empty for the refused."""
        k = min(k, self._num_items)
        shape = (len(requests), k)
        hits = Hits(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
        with_vector = _with_vector(requests)
        without_vector = []
        for row, request in enumerate(requests):
            if request.vector is None and request.refusal is None:
                without_vector.append(row)
        if with_vector:
            chosen = [requests[row] for row in with_vector]
            of_chosen = None if factors is None else factors[with_vector]
            best = self._by_vector(chosen, k, allowed, of_chosen, both_stages)
            hits.items[with_vector] = best.items
            hits.scores[with_vector] = best.scores
        if without_vector:
            chosen = [requests[row] for row in without_vector]
            popular = self._by_popularity(chosen, k, allowed)
            hits.items[without_vector] = popular.items
            hits.scores[without_vector] = popular.scores
        return hits

    def _by_vector(
        self,
        requests: Sequence[Request],
        k: int,
        allowed: BoolArray | None,
        factors: Float64Array | None,
        both_stages: bool,
    ) -> Hits:
        excluded = excluded_lists([request.excluded for request in requests], self._num_items)
        if not excluded.nnz:
            excluded = None
        queries, added = self._queries(requests)
        unit = self.bundle.boost_unit
        stage = self.bundle.second_stage if both_stages else None
        count = k if stage is None else min(stage.num_candidates(k), self._num_items)
        planner = self.planner
        boosted = factors is not None and unit is not None
        if factors is not None and unit is not None:
            queries = boosted_queries(queries, factors, unit)
            planner = self._boosted_planner
        hits = planner.search(queries, count, excluded, allowed, added)
        if stage is None:
            return hits
        users = ranked_users(self.bundle, requests)
        return stage.rerank(users, hits, k, excluded, allowed, boosted)

    def _queries(
        self, requests: Sequence[Request]
    ) -> tuple[Float32Array, sparse.csr_matrix | None]:
        """What the search vectors are asked with, (n, d), and what is added, (n, items), if anything."""
        queries = np.stack([np.asarray(request.vector) for request in requests])
        history_scores = self.bundle.added
        if history_scores is None:
            return queries, None
        # Low-pass and trend are inner products too, beside those of the trained vectors ...
        past = stacked_pasts([request.past for request in requests if request.past is not None])
        queries = np.hstack([queries, history_scores.queries(past.items)])
        # ... and what the item–item table adds to some items is none.
        return queries, history_scores.sparse_scores(past)

    def _means_of_new(
        self, queries: Float32Array, added: sparse.csr_matrix | None, known: sparse.csr_matrix
    ) -> Float64Array:
        """(n,) mean score of the items that each query does not know; arguments as of a search."""
        row, item = pairs_of(known, np.arange(len(queries)))
        # Σ_i ⟨q, v_i⟩ = N ⟨q, mean of v⟩
        total = self._num_items * (queries @ self._mean_vector)
        products = np.einsum("nd,nd->n", self.bundle.search_vectors[item], queries[row])
        if added is not None and added.nnz:
            total = total + np.asarray(added.sum(axis=1)).ravel()
            if len(row):  # without any scipy gives a sparse answer rather than an array
                products = products + np.asarray(added[row, item]).ravel()
        return means_of_new(total, self._num_items, row, products)

    def _require_boost(self) -> None:
        """Raises UsageError where the bundle has no vectors for it."""
        if self.bundle.boost_unit is None:
            raise UsageError(
                "this bundle was written before there was a popularity boost",
                "Write it with recsys index",
            )

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

    @property
    def _num_items(self) -> int:
        return len(self.bundle.items)

    @cached_property
    def _mean_vector(self) -> Float64Array:
        """(d,) of the search vectors."""
        return np.asarray(self.bundle.search_vectors.mean(axis=0, dtype=np.float64))

    @cached_property
    def _lead_of_popular(self) -> float:
        return lead_of_popular(self.bundle.counts)

    @cached_property
    def _boosted_planner(self) -> Planner:
        return Planner(ExactIndex(self.bundle.boosted_vectors), self.bundle.boosted_index)


def _with_vector(requests: Sequence[Request]) -> list[int]:
    """Positions of those that are answered by a vector."""
    return [position for position, request in enumerate(requests) if request.vector is not None]

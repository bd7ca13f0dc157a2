"""Explanations of the scores that requests are answered with."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import FloatArray, IntArray
from recsys.core.artefacts import no_pause
from recsys.encode.fold_in import UserEncoder
from recsys.lookup.cold_start import Request
from recsys.lookup.encoding import groups, num_edges, own_states, stacked_neighbours
from recsys.lookup.explanations.history_parts import history_shares
from recsys.lookup.explanations.parts import Explanations, TracedUser, trace_users
from recsys.lookup.matrices import Rows
from recsys.lookup.ranked_users import ranked_users
from recsys.lookup.visits import known_neighbours
from recsys.search.popularity_boost import share

_SHARES_AT_ONCE = 1 << 18  # of one user: neighbours × items
_PLACES_AT_ONCE = 50  # some milliseconds, their words included


class ExplainedPlaces(NamedTuple):
    """A run of places of one list. row: of the request. start: the first place."""

    row: int
    start: int
    explanations: Explanations


class Explainer:
    """Explains lists of one bundle."""

    def __init__(self, bundle: Bundle, encoder: UserEncoder) -> None:
        self.bundle = bundle
        self.encoder = encoder

    def explain(
        self,
        requests: Sequence[Request],
        lists: Sequence[IntArray],
        factors: FloatArray | None = None,
        between: Callable[[], None] = no_pause,
    ) -> Iterator[ExplainedPlaces]:
        """The scores of a list for each request; users are encoded together.

        Args:
            requests: Who is asked about.
            lists: Internal ids of each.
            factors: (requests,) what ln(1 + users of an item) is multiplied by in the list of each
                (`ListSearch.boost_factors`); None for no boost.
            between: Called before every run of places; what it raises ends the work.

        Yields:
            Runs of places, in order; long lists of long histories in several.
        """
        neighbours = [self._neighbours(request) for request in requests]
        for rows in groups([num_edges(of_user) for of_user in neighbours]):
            between()
            chosen = [requests[row] for row in rows]
            traced = self._trace(chosen, [neighbours[row] for row in rows])
            for row, user in zip(rows, traced, strict=True):
                affordable = _SHARES_AT_ONCE // (1 + num_edges(neighbours[row]))
                step = max(1, min(_PLACES_AT_ONCE, affordable))
                for start in range(0, len(lists[row]), step):
                    between()
                    items = lists[row][start : start + step]
                    explanations = self._explain(requests[row], user, items)
                    if factors is not None and requests[row].vector is not None:
                        boost = share(float(factors[row]), self.bundle.counts[items])
                        explanations = explanations.with_popularity(boost)
                    yield ExplainedPlaces(row, start, explanations)

    def _explain(self, request: Request, user: TracedUser, items: IntArray) -> Explanations:
        """Where popularity answers a score is rest alone, whatever the boost."""
        bundle = self.bundle
        if request.vector is None:
            popularity = bundle.shares(request.segment)[items].astype(np.float64)
            nothing = np.zeros(len(items))
            return Explanations(items, popularity, [], popularity, nothing, nothing)
        served = user._replace(vector=request.vector)
        explanations = served.explain(items, bundle.item_vectors[items])
        if bundle.added is not None and request.past is not None:
            shares = history_shares(
                bundle.added, request.past, items, bundle.target, request.target_items
            )
            explanations = explanations.with_shares(shares)
            explanations = explanations.with_trend(bundle.added.trend[items].astype(np.float64))
            popular = bundle.added.popular[items].astype(np.float64)
            explanations = explanations.with_popularity(popular)
        stage = bundle.second_stage
        if stage is not None:
            users = ranked_users(bundle, [request])
            by_pair = stage.shares(users, items.astype(np.int32))
            by_feature = dict(zip((*stage.trees.names, ""), by_pair.T, strict=True))
            explanations = explanations.with_second_stage(by_feature)
        return explanations

    def _neighbours(self, request: Request) -> Rows:
        """What the user's vector was encoded from; nothing where there is none."""
        if request.vector is None:
            return {}
        if request.neighbours is not None:
            return request.neighbours
        return known_neighbours(self.bundle, request.user)

    def _trace(self, requests: Sequence[Request], neighbours: Sequence[Rows]) -> list[TracedUser]:
        """Each request's user, or visitor, with what the neighbours send."""
        own = own_states(self.bundle, [request.user for request in requests])
        together = stacked_neighbours(neighbours)
        if not together:
            return [TracedUser(vector, []) for vector in own]
        return trace_users(self.encoder, together, own)

"""Explanations of the scores that one request is answered with."""

from functools import cached_property

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array
from recsys.core.ids import UNKNOWN
from recsys.encode.fold_in import Encoded, Neighbours, UserEncoder
from recsys.lookup.cold_start import Request
from recsys.lookup.explanations.parts import Explanation, explain, history_parts
from recsys.lookup.visits import known_neighbours
from recsys.search.popularity_boost import share


class Explainer:
    """Explains the score of any item for one request; the user is encoded once."""

    def __init__(
        self, bundle: Bundle, encoder: UserEncoder, request: Request, popularity: float = 0.0
    ) -> None:
        """For one request.

        Args:
            bundle: That answers.
            encoder: Of the bundle.
            request: Who is asked about.
            popularity: The popularity boost of the list.
        """
        self.bundle = bundle
        self.encoder = encoder
        self.request = request
        self.popularity = popularity

    def explain(self, item: int) -> Explanation:
        """The score of an item (internal id) in parts. Where popularity answers it is rest alone,
        whatever the boost.
        """
        bundle, request = self.bundle, self.request
        if request.vector is None:
            popularity = float(bundle.shares(request.segment)[item])
            return Explanation(popularity, [], popularity)
        explanation = explain(
            self.encoder,
            self._neighbours,
            bundle.item_vectors[item],
            user_vector=request.vector,
            encoded=self._encoded,
        )
        if bundle.added is not None and request.past is not None:
            parts = history_parts(
                bundle.added, request.past, item, bundle.target, self._target_items
            )
            trend = float(bundle.added.trend[item])
            popular = float(bundle.added.popular[item])
            explanation = explanation.with_history(parts, trend).with_popularity(popular)
        if self.popularity:
            boost = share(self.popularity, bundle.counts[item])
            explanation = explanation.with_popularity(boost)
        return explanation

    @cached_property
    def _target_items(self) -> set[int]:
        return set(self.request.target_items.tolist())

    @cached_property
    def _neighbours(self) -> Neighbours:
        if self.request.neighbours is not None:
            return self.request.neighbours
        if self.request.user == UNKNOWN:
            return {}
        return known_neighbours(self.bundle, self.request.user)

    @cached_property
    def _encoded(self) -> Encoded:
        own_state: Float32Array | None = None
        user = self.request.user
        if user != UNKNOWN:
            own_state = np.asarray(self.bundle.user_self[user : user + 1])
        return self.encoder.trace(self._neighbours, own_state)

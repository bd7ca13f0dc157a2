"""Explanations of what one request is answered with."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.ids import UNKNOWN
from recsys.encode.fold_in import Encoded, Neighbours, UserEncoder
from recsys.lookup.explain import Explanation, explain, item_parts
from recsys.lookup.requests import Request
from recsys.lookup.visits import known_neighbours
from recsys.search.popularity_boost import share

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle


class Why:
    """Of one request, for any number of items: the user is traced once."""

    def __init__(
        self, bundle: "Bundle", encoder: UserEncoder, request: Request, dial: float = 0.0
    ) -> None:
        self.bundle, self.encoder, self.request, self.dial = bundle, encoder, request, dial

    def of(self, item: int) -> Explanation:
        """The score of a dense item in parts; that of a popular item is rest alone, at any dial."""
        request, bundle = self.request, self.bundle
        if request.vector is None:
            popularity = float(bundle.shares(request.segment)[item])
            return Explanation(popularity, [], popularity)
        found = explain(
            self.encoder,
            self._neighbours,
            bundle.item_vectors[item],
            None,
            request.vector,
            self._encoded,
        )
        if bundle.added is None or request.past is None:
            return self._turned(found, item)
        parts = item_parts(bundle.added, request.past, item, f"rev_{bundle.target}")
        return self._turned(found.with_added(parts, float(bundle.added.trend[item])), item)

    def _turned(self, found: Explanation, item: int) -> Explanation:
        return found.with_dial(share(self.dial, self.bundle.counts[item])) if self.dial else found

    @cached_property
    def _neighbours(self) -> Neighbours:
        if self.request.neighbours is not None or self.request.user == UNKNOWN:
            return self.request.neighbours or {}
        return known_neighbours(self.bundle, self.request.user)

    @cached_property
    def _encoded(self) -> Encoded:
        own: Float32Array | None = None
        if self.request.user != UNKNOWN:
            own = np.asarray(self.bundle.user_self[self.request.user : self.request.user + 1])
        return self.encoder.trace(self._neighbours, own)

"""Popularity, all-time and recent: the same list for everyone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import DataError
from recsys.core.interactions import Interactions

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Popularity:
    """counts: (items,) float32 distinct users of each item."""

    counts: NDArray[np.float32]

    def score(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """(len(users), items): the counts, once a user."""
        return np.tile(self.counts, (len(users), 1))


def fit_popularity(interactions: Interactions, target: str) -> Popularity:
    """Distinct users of each item under the target behaviour, over the whole of train."""
    return Popularity(np.asarray(interactions.matrix((target,)).sum(axis=0), dtype=np.float32).ravel())


def fit_recent_popularity(interactions: Interactions, target: str, days: float) -> Popularity:
    """Distinct users in the last `days` of the target behaviour's train time; ties broken by all-time popularity.

    Raises DataError when the log has no times.
    """
    if interactions.time is None:
        raise DataError("recent popularity needs times and this log has none", "Map them with --time-col")
    whole = fit_popularity(interactions, target).counts
    rows = interactions.of(target)
    if not rows.any():
        return Popularity(whole)
    last = interactions.time[rows].max()
    rows &= interactions.time > last - days * _DAY_SECONDS
    pairs = np.unique(interactions.user[rows].astype(np.int64) * interactions.num_items + interactions.item[rows])
    recent = np.bincount(pairs % interactions.num_items, minlength=interactions.num_items)
    # The place in the order of (recent, all-time) is exact where a weighted sum of the two would round.
    _, place = np.unique(np.stack([recent, whole.astype(np.int64)], axis=1), axis=0, return_inverse=True)
    return Popularity(place.astype(np.float32))

"""Popularity, all-time and recent: the same list for everyone."""

from dataclasses import dataclass

import numpy as np

from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.distinct import distinct
from recsys.core.errors import DataError
from recsys.core.interactions import Interactions


@dataclass(frozen=True)
class Popularity:
    """weights: (items,) float32, higher is more popular."""

    weights: Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items): the weights, once a user."""
        return np.tile(self.weights, (len(users), 1))


def fit_popularity(interactions: Interactions, target: str) -> Popularity:
    """Distinct users of each item under the target behaviour, over the whole of train."""
    pairs = interactions.matrix((target,))
    num_users = np.asarray(pairs.sum(axis=0), dtype=np.float32)
    return Popularity(num_users.ravel())


def fit_recent_popularity(interactions: Interactions, target: str, share: float) -> Popularity:
    """Distinct users of each item in the latest `share` of the target behaviour's rows, all-time
    popularity among ties.

    A share of the rows, not a number of days, so that the same values suit a log of hours and one
    of decades. Raises DataError when the log has no clock.
    """
    moments = interactions.moments
    if moments is None:
        raise DataError(
            f"recent popularity needs times, and {interactions.no_moments}",
            "Map them with --time-col",
        )
    all_time = fit_popularity(interactions, target).weights
    rows = interactions.of(target)
    if not rows.any():
        return Popularity(all_time)
    start = np.quantile(moments[rows], 1.0 - share, method="higher")
    rows &= moments >= start

    # Distinct pairs, as one number each.
    num_items = interactions.num_items
    user = interactions.user[rows].astype(np.int64)
    pairs = distinct(user * num_items + interactions.item[rows])
    recent = np.bincount(pairs % num_items, minlength=num_items)

    # The rank in the order of (recent, all-time) is exact where a weighted sum of the two would
    # round.
    counts = np.stack([recent, all_time.astype(np.int64)], axis=1)
    _, rank = np.unique(counts, axis=0, return_inverse=True)
    return Popularity(rank.astype(np.float32))

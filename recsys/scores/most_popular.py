"""What users without a history get: the most popular items, of all time or of recent days."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.closed_form.popularity import Popularity
from recsys.core.arrays import Float32Array
from recsys.core.history import UserHistories
from recsys.core.ladder import MOST_STEPS
from recsys.core.noise import CHOICE_ERRORS, STEP_ERRORS, difference
from recsys.evaluate.metrics import PerUser, evenly
from recsys.phases.phase import Phase
from recsys.scores.judged_blends import MOST_USERS
from recsys.scores.last_results import LastResults
from recsys.scores.recency import decay_of, half_life_ladder, required_moments


@dataclass(frozen=True)
class ItemPopularity:
    """Who has which items under the target behaviour.

    pairs: (users, items) 1 for each pair, or less for one of long ago.
    users: (users,) what each user counts for.
    """

    pairs: sparse.csr_matrix
    users: Float32Array

    @property
    def shares(self) -> Float32Array:
        """(items,) the share of the users who have each item."""
        total = max(float(self.users.sum(dtype=np.float64)), np.finfo(np.float64).tiny)
        counts = np.asarray(self.pairs.sum(axis=0), np.float64).ravel()
        return np.asarray(counts / total, np.float32)


def item_popularity(
    histories: UserHistories, target: str, half_life_days: float | None = None
) -> ItemPopularity:
    """Over all time, or exponentially decayed: then a user counts like the latest pair."""
    if half_life_days is None:
        everybody = np.ones(histories.num_users, np.float32)
        return ItemPopularity(histories.matrix(target), everybody)
    rows = histories.latest_rows((target,))
    decay = decay_of(required_moments(histories)[rows], half_life_days).astype(np.float32)
    pairs = sparse.csr_matrix(
        (decay, (histories.user[rows], histories.item[rows])),
        shape=(histories.num_users, histories.num_items),
    )
    return ItemPopularity(pairs, pairs.max(axis=1).toarray().ravel())


class PopularityChoice(NamedTuple):
    """The list of users without a history.

    half_life_days: of `item_popularity`; None for all of time.
    tried: NDCG of that one list for the held-out users, by half-life.
    """

    half_life_days: float | None
    tried: Mapping[float | None, float]


def choose_popularity(phase: Phase) -> PopularityChoice:
    """All of time, unless recent popularity is better for the held-out users beyond noise."""
    if not len(phase.judge.held_out_users):
        return PopularityChoice(None, {})
    users = evenly(phase.judge.held_out_users, MOST_USERS)

    def values_of(half_life_days: float | None) -> PerUser:
        popularity = item_popularity(phase.histories, phase.target, half_life_days)
        return phase.judge.per_user(Popularity(popularity.shares), users)

    values = LastResults(values_of)
    ladder = half_life_ladder(phase)
    best = max((None, *ladder.values), key=lambda days: float(values(days).mean()))
    for _ in range(MOST_STEPS):
        further = ladder.beyond(best)
        if further is None or not difference(values(further), values(best)).beyond(STEP_ERRORS):
            break
        best = further
    if not difference(values(best), values(None)).beyond(CHOICE_ERRORS):
        best = None
    tried = {days: float(of_days.mean()) for days, of_days in values.results.items()}
    return PopularityChoice(best, tried)

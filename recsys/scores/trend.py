"""What was taken of late: in everybody's lists, in the item–item table, and for visitors of whom
nothing is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.closed_form.popularity import Popularity
from recsys.core.arrays import Float32Array, Float64Array, IntArray
from recsys.core.history import decay_by_days, user_histories
from recsys.core.interactions import Interactions
from recsys.phases.phase import Phase

CLEAR = 1.1
"""A choice that did not carry to other rows for less has to gain a tenth on validation."""
_PARTS = (8, 32, 128)
_LATEST = 0.999


def half_lives(phase: Phase) -> list[float]:
    """Half-lives of what was taken of late in days, as parts of those that a phase has seen: none
    so short that lists would be of hours. None at all unless what is held out comes later.
    """
    if not (phase.interactions.days and phase.config.blend.trend and phase.held_out_later):
        return []
    return [float(f"{phase.interactions.days / part:.3g}") for part in _PARTS]


def trending(interactions: Interactions, target: str, half_life_days: float) -> Float32Array:
    """(items,) ln(1 + 10 n / mean n), n being the rows of an item under the target behaviour, faded
    (`_faded`).
    """
    counts, _ = _late_and_ever(interactions, target, half_life_days)
    return np.asarray(
        np.log1p(10 * counts / max(counts.mean(), np.finfo(np.float64).tiny)), np.float32
    )


def freshness(interactions: Interactions, target: str, half_life_days: float) -> Float32Array:
    """(items,) how much of what was ever taken of an item was taken of late: its rows under the
    target behaviour, faded (`_faded`), over their number; between 0 and 1, and 0 for an item
    without any.
    """
    late, ever = _late_and_ever(interactions, target, half_life_days)
    return np.asarray(late / np.maximum(ever, 1), np.float32)


@dataclass(frozen=True)
class Taken:
    """What users took under the target behaviour.

    pairs: (users, items) 1 for each pair, or less for one of long ago. users: (users,) what each
    counts for.
    """

    pairs: sparse.csr_matrix
    users: Float32Array

    @property
    def shares(self) -> Float32Array:
        """(items,) the share of the users who took each item."""
        everybody = max(float(self.users.sum(dtype=np.float64)), np.finfo(np.float64).tiny)
        return np.asarray(
            np.asarray(self.pairs.sum(axis=0), np.float64).ravel() / everybody, np.float32
        )


def taken(interactions: Interactions, target: str, half_life_days: float | None = None) -> Taken:
    """Over all time, where every user counts for 1; or of late, where pairs fade (`_faded`) and
    users with their latest.
    """
    if half_life_days is None:
        return Taken(interactions.matrix((target,)), np.ones(interactions.num_users, np.float32))
    histories = user_histories(interactions)
    assert histories.time is not None
    rows = histories.latest_rows((target,))
    faded = _faded(histories.time[rows], half_life_days).astype(np.float32)
    ends = histories.user[rows], histories.item[rows]
    pairs = sparse.csr_matrix((faded, ends), shape=(interactions.num_users, interactions.num_items))
    return Taken(pairs, pairs.max(axis=1).toarray().ravel())


class PopularityChoice(NamedTuple):
    """What visitors of whom nothing is known get. half_life_days: of `taken`, None for all of time.

    tried: NDCG of that one list for the held-out users, by half-life.
    """

    half_life_days: float | None
    tried: Mapping[float | None, float]


def choose_popularity(phase: Phase) -> PopularityChoice:
    """All of time, unless what was taken of late is clearly what the held-out users took."""
    if not len(phase.judge.held_out_users):
        return PopularityChoice(None, {})
    tried = {
        days: phase.judge.ndcg(Popularity(taken(phase.interactions, phase.target, days).shares))
        for days in (None, *half_lives(phase))
    }
    best = max(tried, key=tried.__getitem__)
    return PopularityChoice(best if tried[best] > CLEAR * tried[None] else None, tried)


def _late_and_ever(
    interactions: Interactions, target: str, half_life_days: float
) -> tuple[Float64Array, IntArray]:
    """(items,) rows of each item under the target behaviour, faded, and their number."""
    rows = np.flatnonzero(interactions.of(target))
    assert interactions.time is not None
    item, faded = interactions.item[rows], _faded(interactions.time[rows], half_life_days)
    late = np.asarray(np.bincount(item, faded, interactions.num_items), np.float64)
    return late, np.bincount(item, minlength=interactions.num_items)


def _faded(time: IntArray, half_life_days: float) -> Float64Array:
    """(rows,) ½ for every half-life before the latest. One in a thousand may be later than that: a
    single row dated wrongly would make its item the only one taken of late.
    """
    now = int(np.quantile(time, _LATEST, method="lower")) if len(time) else 0
    return decay_by_days(time, now, half_life_days)

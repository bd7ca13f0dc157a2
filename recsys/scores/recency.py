"""Interactions of recent days, counted by exponential decay."""

import numpy as np

from recsys.core.arrays import Float64Array, Int64Array, IntArray
from recsys.core.errors import UsageError
from recsys.core.history import UserHistories, decay_by_days
from recsys.core.interactions import Interactions
from recsys.core.ladder import Ladder
from recsys.phases.data import PhaseData

_SHARES_OF_THE_LOG = (8, 32, 128)
_NOW_QUANTILE = 0.999


def half_lives_days(data: PhaseData) -> list[float]:
    """Half-lives that a search tries: parts of the days that the phase has seen.

    None of them so short that lists would be of hours. None at all unless what is held out comes
    later than what is learned from.
    """
    days = data.interactions.days
    if not (days and data.config.blend.trend and data.held_out_later):
        return []
    # Three significant digits: half-lives are shown to people and stored.
    return [float(f"{days / share:.3g}") for share in _SHARES_OF_THE_LOG]


def half_life_ladder(data: PhaseData) -> Ladder:
    """`half_lives_days`, and how a search goes on past their ends: not under six hours, not over
    the days that the phase has seen.
    """
    days = data.interactions.days
    return Ladder(half_lives_days(data), lowest=0.25, highest=days)


def decayed_counts(
    interactions: Interactions, target: str, half_life_days: float
) -> tuple[Float64Array, IntArray]:
    """(items,) rows of each item under the target behaviour, decayed; and their plain number."""
    rows = np.flatnonzero(interactions.of(target))
    items = interactions.item[rows]
    decay = decay_of(required_moments(interactions)[rows], half_life_days)
    recent = np.bincount(items, decay, interactions.num_items)
    number = np.bincount(items, minlength=interactions.num_items)
    return np.asarray(recent, np.float64), number


def decay_of(time: IntArray, half_life_days: float) -> Float64Array:
    """(n,) ½ for every half-life before now.

    One in a thousand rows may be later than now: a single row dated wrongly would make its item the
    only recent one.
    """
    now = int(np.quantile(time, _NOW_QUANTILE, method="lower")) if len(time) else 0
    return decay_by_days(time, now, half_life_days)


def required_moments(log: Interactions | UserHistories) -> Int64Array:
    """(n,) unix seconds. Raises UsageError for a log without a clock."""
    if log.moments is None:
        raise UsageError("a half-life in days needs a log with times", "Leave the half-life out")
    return log.moments

"""How sure a mean over users is: the paired bootstrap, and Holm's correction for several
comparisons.
"""

from typing import NamedTuple

import numpy as np

from recsys.core.arrays import Float64Array, FloatArray
from recsys.core.errors import UsageError

_BLOCK_ENTRIES = 4_000_000  # user draws held at a time: 32 MB


class Interval(NamedTuple):
    """A mean over users with its percentile bootstrap interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """Mean of one model minus another's over the same users, its interval, and the two-sided p of
    no difference.
    """

    mean: float
    low: float
    high: float
    p: float


def bootstrap_means(values: Float64Array, draws: int = 10_000, seed: int = 0) -> Float64Array:
    """(draws, columns): means of `values` (users, columns) over users drawn with replacement.

    Every column sees the same draws of users, so that a difference of two columns is a paired
    bootstrap. Memory is bounded whatever the number of users. Raises UsageError without users or
    draws.
    """
    users = len(values)
    if not users or draws < 1:
        raise UsageError(
            f"a bootstrap of {users} users with {draws} draws", "Both must be at least 1"
        )
    generator = np.random.default_rng(seed)
    block_draws = max(1, _BLOCK_ENTRIES // users)
    sums = []
    for start in range(0, draws, block_draws):
        counts = _counts(generator, min(block_draws, draws - start), users)
        sums.append(counts @ values)
    return np.concatenate(sums) / users


def _counts(generator: np.random.Generator, draws: int, users: int) -> Float64Array:
    """(draws, users): how often each user was drawn; every row sums to the number of users."""
    drawn = generator.integers(0, users, size=(draws, users), dtype=np.int64)
    # A number for each (draw, user), so that one count serves all draws.
    drawn += np.arange(draws)[:, None] * users
    counts = np.bincount(drawn.ravel(), minlength=draws * users)
    return counts.reshape(draws, users).astype(np.float64)


def interval(values: Float64Array, means: Float64Array, level: float = 0.95) -> Interval:
    """The mean of `values` (users,) with the middle `level` of its bootstrap `means` (draws,)."""
    return Interval(float(np.mean(values)), *_middle(means, level))


def difference(
    values: Float64Array,
    others: Float64Array,
    means: Float64Array,
    other_means: Float64Array,
    level: float = 0.95,
) -> Difference:
    """`values` minus `others` (users,), from bootstrap means (draws,) that saw the same draws of
    users.
    """
    drawn = means - other_means
    low, high = _middle(drawn, level)
    mean = float(np.mean(values - others))
    return Difference(mean, low, high, _two_sided(drawn))


def holm(p_values: FloatArray) -> Float64Array:
    """Holm's step-down correction (1979): adjusted p-values in the order given, each at most 1."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    rising = np.asarray(p_values, np.float64)[order]
    # The smallest p times m, the next times m − 1, …, and never below the one before.
    factors = count - np.arange(count)
    stepped = np.maximum.accumulate(factors * rising)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _middle(means: Float64Array, level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _two_sided(drawn: Float64Array) -> float:
    """Twice the smaller share of draws on either side of zero; the added one keeps it above zero
    (Davison & Hinkley 1997).
    """
    # Differences below rounding are none: a model compared with itself must give p = 1.
    rounding = 1e-12
    not_above = int((drawn <= rounding).sum())
    not_below = int((drawn >= -rounding).sum())
    tail = min(not_above, not_below)
    return min(1.0, 2 * (tail + 1) / (len(drawn) + 1))

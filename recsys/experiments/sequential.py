"""A test that may be looked at every day, and stopped whenever it has decided.

The mixture sequential probability ratio test (Robbins 1970; Johari, Pekelis & Walsh 2017, "Always valid
inference", Operations Research 70(3), 2022): the likelihood of a difference δ ~ N(0, τ²) against none,
for an estimate d with variance V that is about normal,

    Λ = √(V / (V + τ²)) · exp(τ² d² / (2 V (V + τ²))).

Under no difference Λ is a martingale that ever exceeds 1/α with a probability of at most α (Ville), at
however many looks. Where V is estimated the guarantee is asymptotic (Waudby-Smith, Arbour, Sinha, Kennedy
& Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 52(6)); so the first looks are not taken before there are enough users.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.core.arrays import Float64Array, FloatArray
from recsys.experiments.intervals import Ratio


class Known(NamedTuple):
    """What all looks together say: interval, p, and whether no difference is excluded."""

    low: float
    high: float
    p: float


def half_width(variance: float, effect: float, alpha: float) -> float:
    """Of the confidence sequence at an estimate's variance: √(V(V+τ²)/τ² · (2 ln 1/α + ln (V+τ²)/V)).

    effect: τ, fixed before there are data; the sequence is tightest for differences of that size.
    """
    mixed = variance + effect**2  # V + τ²
    # Where Λ reaches 1/α, solved for the estimate d.
    evidence = 2 * math.log(1 / alpha) + math.log(mixed / variance)
    return math.sqrt(variance * mixed / effect**2 * evidence)


def p_value(found: Ratio, effect: float) -> float:
    """Always valid: 1/Λ, at most 1."""
    mixed = found.variance + effect**2  # V + τ²
    # τ² d² / (2 V (V + τ²)); e^700 is about the largest number of float64.
    exponent = (effect * found.value) ** 2 / (2 * found.variance * mixed)
    return min(1.0, math.sqrt(mixed / found.variance) * math.exp(-min(exponent, 700.0)))


def together(looks: Sequence[Ratio], effect: float, alpha: float) -> list[Known]:
    """What is known after each look: the smallest p so far, and what all intervals have in common.

    Where intervals have nothing in common any more (the difference changes with time) the interval is
    that of the look.
    """
    known = []
    low, high, p = -math.inf, math.inf, 1.0
    for look in looks:
        half = half_width(look.variance, effect, alpha)
        p = min(p, p_value(look, effect))
        # Each interval holds the difference at every look together with all others: so does what
        # they share.
        low, high = max(low, look.value - half), min(high, look.value + half)
        if low > high:
            low, high = look.value - half, look.value + half
        known.append(Known(low, high, p))
    return known


def power(
    effect: float,
    alpha: float,
    information: FloatArray,
    now: Ratio | None = None,
    draws: int = 4000,
) -> Float64Array:
    """(looks,) probability that the test has decided for a true difference of `effect` by each look.

    In information time the estimate is a Brownian motion with drift: S = I d with I = 1/V has
    independent increments N(δ ΔI, ΔI), which are drawn here.

    Args:
        effect: The true difference, and τ.
        alpha: Of the test.
        information: (looks,) 1/V at each look to come, ascending.
        now: What was found until now; nothing when None.
        draws: Of the motion; the error of a probability is below 0.008.
    """
    generator = np.random.default_rng(0)
    start = 0.0 if now is None else 1 / now.variance
    begun = 0.0 if now is None else now.value * start
    # ΔI from look to look, and S = I d behind each: where it begins, and increments δ ΔI + √ΔI ε.
    steps = np.diff(information, prepend=start)
    noise = generator.standard_normal((draws, len(information)))
    paths = begun + np.cumsum(effect * steps + np.sqrt(steps) * noise, axis=1)
    # |d| ≥ half width at V = 1/I, times I.
    bounds = np.array([total * half_width(1 / total, effect, alpha) for total in information])
    has_decided = np.logical_or.accumulate(paths >= bounds, axis=1)
    return np.asarray(has_decided.mean(axis=0))

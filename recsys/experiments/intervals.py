"""Rates over users: lists of one user are alike, so that the user is the unit of every variance."""

from typing import NamedTuple

from scipy.special import ndtri

from recsys.core.arrays import Float64Array
from recsys.experiments.documents import Estimate

NOTHING: Estimate = {"value": None, "low": None, "high": None}


class Ratio(NamedTuple):
    """A rate and the variance of its estimate."""

    value: float
    variance: float


def ratio(numerators: Float64Array, denominators: Float64Array) -> Ratio | None:
    """The ratio of two sums over users (users,), with its variance by the delta method.

    For R = Σy / Σn: Var R ≈ m/(m−1) · Σ (y − R n)² / (Σn)², over the m users with n > 0
    (Deng, Knoblich & Lu 2018, "Applying the Delta Method in Metric Analytics"). None for fewer than
    two such users.
    """
    is_there = denominators > 0
    num_users = int(is_there.sum())
    if num_users < 2:
        return None
    total = denominators[is_there].sum()
    value = numerators[is_there].sum() / total
    # y − R n of each user, whose sum is 0.
    residuals = numerators[is_there] - value * denominators[is_there]
    variance = num_users / (num_users - 1) * (residuals**2).sum() / total**2
    return Ratio(float(value), float(variance))


def difference(one: Ratio, other: Ratio) -> Ratio:
    """Of two independent groups of users."""
    return Ratio(one.value - other.value, one.variance + other.variance)


def estimate(found: Ratio | None, alpha: float) -> Estimate:
    """With the normal interval of a single look."""
    if found is None:
        return {**NOTHING}
    # z_{1 − α/2} · √V
    half = float(ndtri(1 - alpha / 2)) * found.variance**0.5
    return {"value": found.value, "low": found.value - half, "high": found.value + half}

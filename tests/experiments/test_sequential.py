"""Intervals, the sequential test and its power: by hand, against naive loops, and by simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.experiments.intervals import Ratio, estimate, ratio
from recsys.experiments.sequential import half_width, p_value, power, together
from recsys.experiments.split import split_check

STEP = 8_000.0


def test_a_ratio_by_hand() -> None:
    # Two users: 1 of 2 and 0 of 2 lists clicked; a third was shown none.
    found = ratio(np.array([1.0, 0.0, 0.0]), np.array([2.0, 2.0, 0.0]))
    assert found is not None
    assert found.value == 0.25
    # residuals 0.5 and −0.5; 2/1 · 0.5 / 16
    assert found.variance == pytest.approx(0.0625)
    half = 1.959964 * 0.25
    assert estimate(found, 0.05) == pytest.approx(
        {"value": 0.25, "low": 0.25 - half, "high": 0.25 + half}
    )
    assert ratio(np.array([1.0]), np.array([1.0])) is None
    assert estimate(None, 0.05) == {"value": None, "low": None, "high": None}


def test_the_variance_of_a_ratio_is_that_of_many_draws_of_users() -> None:
    generator = np.random.default_rng(0)

    def users(count: int) -> tuple[np.ndarray, np.ndarray]:
        activity = generator.beta(2, 5, count)
        lists = generator.poisson(1 + 8 * activity)  # who clicks more comes more often
        return generator.binomial(lists, activity).astype(float), lists.astype(float)

    found = [ratio(*users(400)) for _ in range(1500)]
    values = [one.value for one in found if one is not None]
    told = np.mean([one.variance for one in found if one is not None])
    assert np.var(values) == pytest.approx(told, rel=0.15)
    naive = np.mean([value * (1 - value) / 2000 for value in values])
    assert told > 1.2 * naive  # lists are no independent trials


@given(st.floats(-0.2, 0.2), st.floats(1e-7, 1e-2), st.floats(0.001, 0.1), st.floats(0.001, 0.2))
def test_p_is_alpha_exactly_at_the_end_of_the_interval(
    value: float, variance: float, effect: float, alpha: float
) -> None:
    half = half_width(variance, effect, alpha)
    assert p_value(Ratio(half, variance), effect) == pytest.approx(alpha)
    assert (p_value(Ratio(value, variance), effect) <= alpha) == (abs(value) >= half)


def test_the_likelihood_ratio_is_that_of_the_mixture() -> None:
    """Against numerical integration over the differences δ ~ N(0, τ²)."""
    value, variance, effect = 0.013, 4e-5, 0.01
    deltas = np.linspace(-0.1, 0.1, 200_001)
    prior = np.exp(-(deltas**2) / (2 * effect**2)) / math.sqrt(2 * math.pi * effect**2)
    likelihoods = np.exp((2 * deltas * value - deltas**2) / (2 * variance))
    integral = float((prior * likelihoods).sum() * (deltas[1] - deltas[0]))
    assert 1 / p_value(Ratio(value, variance), effect) == pytest.approx(integral, rel=1e-6)


def motions(drift: float, looks: int, draws: int) -> list[list[Ratio]]:
    """Estimates that are looked at as information comes in: 1/V grows by STEP a look."""
    generator = np.random.default_rng(1)
    sums = generator.normal(drift * STEP, STEP**0.5, (draws, looks)).cumsum(axis=1)
    totals = STEP * np.arange(1, looks + 1)
    return [[Ratio(s / t, 1 / t) for s, t in zip(row, totals, strict=True)] for row in sums]


def test_looking_every_day_finds_nothing_that_is_not_there_and_the_usual_test_does() -> None:
    paths = motions(0.0, 60, 1500)
    always = [together(path, 0.01, 0.05)[-1].p <= 0.05 for path in paths]
    usual = [any(abs(one.value) > 1.96 * one.variance**0.5 for one in path) for path in paths]
    assert np.mean(always) <= 0.05
    assert np.mean(usual) > 0.3
    low_high = [together(path, 0.01, 0.05)[-1] for path in paths]
    assert np.mean([known.low <= 0 <= known.high for known in low_high]) >= 0.95


def test_the_stated_power_is_how_often_it_finds() -> None:
    paths = motions(0.01, 30, 1500)
    decided = [together(path, 0.01, 0.05) for path in paths]
    stated = power(0.01, 0.05, STEP * np.arange(1, 31))
    for look in (4, 9, 29):
        found = np.mean([known[look].p <= 0.05 for known in decided])
        assert found == pytest.approx(stated[look], abs=0.04)
    assert stated[4] < 0.5 < stated[29]


def test_what_remains_of_the_power_follows_from_what_was_seen() -> None:
    now = 1 / (STEP * 10)
    further = STEP * np.arange(11, 21)
    good = power(0.01, 0.05, further, Ratio(0.012, now))[-1]
    bad = power(0.01, 0.05, further, Ratio(-0.002, now))[-1]
    blind = power(0.01, 0.05, further)[-1]
    assert bad < blind < good


def test_intervals_have_in_common_what_remains_and_p_never_rises() -> None:
    [path] = motions(0.005, 40, 1)
    known = together(path, 0.01, 0.05)
    for before, after in pairwise(known):
        assert after.low >= before.low and after.high <= before.high and after.p <= before.p


def test_a_wrong_split_is_noticed_and_a_right_one_is_not() -> None:
    right = split_check({"a": 5020, "b": 4980}, {"a": 0.4, "b": 0.4})
    assert not right["alarm"] and right["expected"] == {"a": 5000, "b": 5000}
    # (5200 − 5000)² / 5000 · 2 = 16: p of chi-square with one degree of freedom
    wrong = split_check({"a": 5200, "b": 4800}, {"a": 0.5, "b": 0.5})
    assert wrong["alarm"] and wrong["p"] == pytest.approx(6.334e-5, rel=1e-3)
    assert split_check({"a": 0, "b": 0}, {"a": 0.5, "b": 0.5})["p"] == 1.0

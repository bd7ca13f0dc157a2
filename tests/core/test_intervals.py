"""Bootstrap and Holm: against numbers by hand, normal theory and simulated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core import intervals
from recsys.core.errors import UsageError
from recsys.core.intervals import bootstrap_means, difference, holm, interval


def test_same_seed_same_draws_for_every_column(rng: np.random.Generator) -> None:
    values = rng.random((50, 1))
    means = bootstrap_means(np.hstack([values, 3 * values]), draws=200, seed=4)
    np.testing.assert_allclose(means[:, 1], 3 * means[:, 0])
    np.testing.assert_allclose(bootstrap_means(values, draws=200, seed=4)[:, 0], means[:, 0])
    assert not np.allclose(bootstrap_means(values, draws=200, seed=5)[:, 0], means[:, 0])


def test_memory_bound_does_not_change_the_draws(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = rng.random((30, 2))
    whole = bootstrap_means(values, draws=100)
    monkeypatch.setattr(intervals, "_BLOCK_ENTRIES", 70)
    np.testing.assert_allclose(bootstrap_means(values, draws=100), whole)


def test_interval_agrees_with_normal_theory(rng: np.random.Generator) -> None:
    values = rng.normal(2.0, 1.5, 2000)
    found = interval(values, bootstrap_means(values[:, None], 10_000)[:, 0])
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.06 * half)


def test_interval_covers_the_truth_as_often_as_it_says(rng: np.random.Generator) -> None:
    worlds, users = 300, 80
    covered = 0
    for world in range(worlds):
        values = (rng.random(users) < 0.3).astype(float)
        found = interval(values, bootstrap_means(values[:, None], 500, seed=world)[:, 0])
        covered += found.low <= 0.3 <= found.high
    assert (
        0.90 <= covered / worlds <= 0.98
    )  # 95 % nominal; ± three standard errors and the percentile method's bias


def test_false_alarms_are_as_rare_as_they_should_be(rng: np.random.Generator) -> None:
    alarms = 0
    for world in range(300):
        pair = rng.normal(0, 1, (60, 2)) + rng.normal(
            0, 3, (60, 1)
        )  # strongly paired, no difference
        means = bootstrap_means(pair, 400, seed=world)
        alarms += difference(pair[:, 0], pair[:, 1], means[:, 0], means[:, 1]).p < 0.05
    assert alarms / 300 <= 0.10


def test_pairing_finds_what_unpaired_intervals_would_not(rng: np.random.Generator) -> None:
    base = rng.normal(0, 3, 200)
    better = base + rng.normal(0.2, 0.3, 200)
    means = bootstrap_means(np.stack([better, base], axis=1), 2000)
    found = difference(better, base, means[:, 0], means[:, 1])
    assert found.p < 0.01 and found.low > 0
    assert interval(better, means[:, 0]).low < interval(base, means[:, 1]).high  # they overlap


def test_a_model_against_itself() -> None:
    values = np.random.default_rng(1).random(40)
    means = bootstrap_means(np.stack([values, values], axis=1), 300)
    assert difference(values, values, means[:, 0], means[:, 1]) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_never_zero() -> None:
    values = np.ones(10)
    means = bootstrap_means(np.stack([values, values * 0], axis=1), 999)
    assert difference(values, values * 0, means[:, 0], means[:, 1]).p == pytest.approx(2 / 1000)


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, then never falling: .04 .06 .06 .06.
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1.0, 1.0])
    assert holm(np.array([])).shape == (0,)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_plain_and_bonferroni(p_values: list[float]) -> None:
    plain = np.array(p_values)
    adjusted = holm(plain)
    assert (adjusted >= plain).all() and (
        adjusted <= np.minimum(1, plain * len(plain)) + 1e-12
    ).all()
    assert (np.diff(adjusted[np.argsort(plain, kind="stable")]) >= 0).all()


@pytest.mark.parametrize(("users", "draws"), [(0, 10), (5, 0)])
def test_nothing_to_draw(users: int, draws: int) -> None:
    with pytest.raises(UsageError, match="bootstrap"):
        bootstrap_means(np.zeros((users, 1)), draws)

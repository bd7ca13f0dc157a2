"""The baselines by name: tuned on validation, left out with a reason, priced before they start."""

import itertools

import numpy as np
import pytest

from recsys.baselines.catalogue import BASELINES, baseline, choose, skip_reason
from recsys.core.errors import UsageError
from recsys.core.interactions import Interactions
from small_logs import TARGET, random_interactions


@pytest.fixture(scope="module")
def train() -> Interactions:
    return random_interactions()


def test_choose_takes_the_best_and_the_earlier_of_equals(train: Interactions) -> None:
    ease = BASELINES["ease"]
    values = iter([0.5, 0.2, 0.5, 0.1])
    choice = choose(ease, train, TARGET, lambda scorer: next(values))
    assert choice.params == ease.grid[0] and choice.value == 0.5
    assert [value for _, value in choice.tried] == [0.5, 0.2, 0.5, 0.1]


def test_choose_goes_on_past_the_end_of_a_grid(train: Interactions) -> None:
    """λ = 50 is the smallest of the grid, and 12.5 better; 3.12 is not."""
    values = iter([0.2, 0.5, 0.5, 0.1, 0.6, 0.3])
    choice = choose(BASELINES["ease"], train, TARGET, lambda scorer: next(values))
    assert choice.params == {"regularisation": 12.5} and choice.value == 0.6
    assert [value for _, value in choice.tried] == [0.2, 0.5, 0.5, 0.1, 0.6, 0.3]


@pytest.mark.parametrize("name", ["itemknn", "slim", "ease", "gfcf"])
@pytest.mark.parametrize("best", [0, 2, 5])
def test_the_chosen_scorer_is_that_of_its_setting(
    train: Interactions, name: str, best: int
) -> None:
    """Later fits leave it as it was."""
    model = BASELINES[name]
    judged = itertools.count()
    choice = choose(model, train, TARGET, lambda scorer: float(next(judged) == best))
    users = np.arange(train.num_users, dtype=np.int32)
    anew = model.fit(train, TARGET, choice.params)
    assert choice.scorer.score(users) == pytest.approx(anew.score(users), abs=1e-6)


@pytest.mark.parametrize("name", list(BASELINES))
def test_ladders_continue_what_the_grid_holds(name: str) -> None:
    """Else a choice could stop at an end of the grid without looking beyond."""
    model = BASELINES[name]
    for setting, ladder in model.ladders.items():
        assert {params[setting] for params in model.grid} - {0.0} == set(ladder.values)


def test_skip_reasons_name_the_limit(train: Interactions) -> None:
    assert skip_reason(BASELINES["ease"], train, 10, 10**10) is None
    huge = BASELINES["ease"].forecast(10**6, 10**5, 10**7)
    assert huge.seconds > 3600 and huge.bytes > 1e11
    reason = skip_reason(BASELINES["ease"], train, 10, 1000)
    assert reason is not None and "GB that a run on this machine plans with" in reason
    reason = skip_reason(BASELINES["gfcf"], train, 1e-9, 10**10)
    assert reason is not None and "over the limit" in reason


def test_unknown_baseline_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'itemknn'"):
        baseline("itemnn")


@pytest.mark.parametrize("name", list(BASELINES))
def test_forecasts_grow_with_every_size(name: str) -> None:
    sizes = (20_000, 9_000, 800_000)
    base = BASELINES[name].forecast(*sizes)
    assert 0 < base.seconds < 3600 and 0 < base.bytes < 1e11
    for place in range(3):
        larger = [size * (2 if place == at else 1) for at, size in enumerate(sizes)]
        if place == 0 and name in ("itemknn", "slim", "gfcf"):
            continue  # more users at the same number of rows means shorter histories, so less to multiply
        assert BASELINES[name].forecast(*larger).seconds >= base.seconds


def test_ease_is_forecast_to_take_too_long_for_a_large_catalogue() -> None:
    assert BASELINES["ease"].forecast(90_000, 41_000, 810_000).seconds > 20 * 60
    assert BASELINES["ease"].forecast(5_000, 3_500, 440_000).seconds < 60
    assert BASELINES["ease"].forecast(700, 9_000, 80_000).seconds < 10
    assert BASELINES["gfcf"].forecast(30_000, 41_000, 810_000).seconds < 5 * 60

"""Estimates of what was never shown: by hand, against a naive loop, and without bias over all draws."""

from itertools import permutations

import numpy as np
import pytest

from recsys.experiments.off_policy import Drawn, estimate_clicks


def drawn(rows: list[tuple[int, int, bool, float, bool, bool]]) -> Drawn:
    return Drawn(*(np.array(column) for column in zip(*rows, strict=True)))


def test_by_hand() -> None:
    # Two users with a list each of two places, out of a pool of four.
    found = estimate_clicks(
        drawn(
            [
                (0, 0, True, 0.25, True, True),  # as the other bundle has it, and clicked
                (0, 0, False, 0.25, True, True),
                (1, 1, True, 0.25, False, True),  # as the other bundle has it, not clicked
                (1, 1, False, 0.25, False, False),
            ]
        )
    )
    assert found.ips is not None and found.snips is not None
    assert found.ips.value == 2.0  # 4 / 2 lists
    assert found.snips.value == 1.0  # 2 places · 4 / 8
    assert (found.coverage, found.matches) == (0.75, 2)


def test_nothing_drawn_estimates_nothing() -> None:
    nothing = drawn([(0, 0, False, 0.5, True, False), (1, 1, False, 0.5, True, False)])
    found = estimate_clicks(nothing)
    assert found.snips is None and found.matches == 0
    assert found.ips is not None and found.ips.value == 0.0


def test_over_all_orders_the_mean_is_the_truth() -> None:
    """Every order of four items once, clicks as their expectations: the estimator has no bias."""
    click = {("a", 0): 0.5, ("b", 0): 0.3, ("c", 0): 0.2, ("d", 0): 0.1}
    click |= {
        (item, place): 0.6 * rate for (item, _), rate in list(click.items()) for place in (1,)
    }
    target = ("c", "a")
    rows = []
    expected = []
    for number, order in enumerate(permutations("abcd")):
        for place, item in enumerate(order[:2]):
            rows.append((number, number, item == target[place], 0.25, True, True))
            expected.append(click[item, place])
    table = drawn(rows)
    weighted = Drawn(*table[:4], np.array(expected), table.covered)  # type: ignore[arg-type]
    truth = click["c", 0] + click["a", 1]
    found = estimate_clicks(weighted)
    assert found.ips is not None and found.ips.value == pytest.approx(truth)
    assert found.snips is not None and found.snips.value == pytest.approx(truth)


def test_as_a_naive_loop_says() -> None:
    generator = np.random.default_rng(3)
    rows = []
    for number in range(200):
        for _ in range(5):
            matches, clicked = generator.random(2) < 0.3
            rows.append((number, number % 60, bool(matches), 0.1, bool(clicked), True))
    clicks = np.zeros(60)
    weights = np.zeros(60)
    lists = np.zeros(60)
    for _, user, matches, propensity, clicked, _ in rows:
        lists[user] += 1 / 5
        if matches:
            weights[user] += 1 / propensity
            clicks[user] += clicked / propensity
    found = estimate_clicks(drawn(rows))
    assert found.ips is not None and found.snips is not None
    assert found.ips.value == pytest.approx(clicks.sum() / lists.sum())
    assert found.snips.value == pytest.approx(5 * clicks.sum() / weights.sum())
    residuals = clicks - found.ips.value * lists
    assert found.ips.variance == pytest.approx(60 / 59 * (residuals**2).sum() / 200**2)

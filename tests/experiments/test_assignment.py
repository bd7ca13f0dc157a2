"""Who gets which arm, and which lists are drawn: stable, uniform, independent."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from recsys.experiments.assignment import arm_of, position
from recsys.experiments.exploration import drawn_order, is_drawn, propensities

USERS = [f"user {number}" for number in range(20_000)]
shares = st.lists(st.floats(0.01, 0.3), min_size=2, max_size=3)


def test_positions_are_uniform_and_independent_between_salts_and_purposes() -> None:
    places = np.array([position(user, "one", "arm") for user in USERS])
    assert kstest(places, "uniform").pvalue > 0.001
    for salt, purpose in (("two", "arm"), ("one", "explore")):
        others = np.array([position(user, salt, purpose) for user in USERS])
        assert abs(np.corrcoef(places, others)[0, 1]) < 4 / len(USERS) ** 0.5


def test_arms_have_their_shares_and_the_rest_is_in_none() -> None:
    arms = [arm_of(user, "salt", (0.1, 0.3, 0.2)) for user in USERS]
    counts = [arms.count(arm) for arm in (0, 1, 2, None)]
    assert chisquare(counts, np.array([0.1, 0.3, 0.2, 0.4]) * len(USERS)).pvalue > 0.001


@given(shares, st.integers(0, 2), st.floats(1.0, 1.3))
def test_a_user_keeps_an_arm_that_grows_while_the_others_stay(
    before: list[float], which: int, factor: float
) -> None:
    which %= len(before)
    after = [share * factor if arm == which else share for arm, share in enumerate(before)]
    for user in USERS[:300]:
        if arm_of(user, "salt", before) == which:
            assert arm_of(user, "salt", after) == which


@pytest.mark.parametrize("salt", ["a", "0123456789abcdef"])
def test_another_process_with_another_hash_seed_says_the_same(salt: str) -> None:
    script = (
        "from recsys.experiments.assignment import arm_of\n"
        "from recsys.experiments.exploration import drawn_order\n"
        f"print([arm_of(str(user), {salt!r}, (.2, .3)) for user in range(50)])\n"
        f"print(drawn_order('x', {salt!r}, 7).tolist())"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    here = [arm_of(str(user), salt, (0.2, 0.3)) for user in range(50)]
    assert told.stdout.splitlines() == [str(here), str(drawn_order("x", salt, 7).tolist())]


def test_any_text_is_an_id() -> None:
    assert all(0 <= position(text, "salt", "arm") < 1 for text in ("", "ü", "\ud800", "a" * 10_000))


def test_a_share_of_answers_is_drawn() -> None:
    drawn = [is_drawn(user, "salt", 0.1) for user in USERS]
    assert abs(np.mean(drawn) - 0.1) < 4 * (0.09 / len(USERS)) ** 0.5
    assert not any(is_drawn(user, "salt", 0.0) for user in USERS[:1000])
    assert all(is_drawn(user, "salt", 1.0) for user in USERS[:1000])


def test_every_item_stands_at_every_place_as_often_as_its_propensity_says() -> None:
    orders = np.stack([drawn_order(str(answer), "salt", 6) for answer in range(6000)])
    for place in range(6):
        counts = np.bincount(orders[:, place], minlength=6)
        assert chisquare(counts, 6000 * propensities(np.full(6, 6))).pvalue > 0.001
    # Not only each place by itself: neighbours of the list before part as often as any two items.
    steps = [(after - before) % 6 for order in orders for before, after in pairwise(order)]
    assert chisquare(np.bincount(steps, minlength=6)[1:]).pvalue > 0.001

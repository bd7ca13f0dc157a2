"""The search over settings of terms, on values made up for it."""

import math

import numpy as np
import pytest

from recsys.core.ladder import MOST_STEPS, Ladder
from recsys.core.noise import STEP_ERRORS, difference
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.search import Search
from recsys.scores.term import Move, Stage, grid
from recsys.scores.terms.item_item import ItemItemSettings
from recsys.scores.terms.most_popular import MostPopularSettings
from recsys.scores.terms.popularity import PopularitySettings
from recsys.scores.terms.trained_vectors import TrainedVectorsSettings
from recsys.scores.terms.trend import TrendSettings

ALONE = 0.2
USERS = 1000


def for_everybody(value):
    """Values by user that are all the same: the least noise."""
    return lambda blend: np.full(USERS, value(blend))


def chosen(value, moves):
    return Search(for_everybody(value)).best(moves)


def weights(*values):
    return lambda settings: [settings.changed(weight=value) for value in values]


MOVES = [
    Move(Stage.START, ItemItemSettings, weights(0.2), forced=True),
    Move(Stage.WEIGHT, ItemItemSettings, weights(0.1, 0.2, 0.4)),
    Move(Stage.EVERYBODY, TrendSettings, weights(0.0, 1.0, 2.0)),
    Move(Stage.REFINE, ItemItemSettings, weights(0.05, 0.3)),
]


def table_and_trend(blend):
    return blend.of(ItemItemSettings).weight, blend.of(TrendSettings).weight


@pytest.mark.parametrize("loss", [0.0, 1e-9, 0.01])
def test_it_ends_by_comparing_with_nothing(loss):
    """The less is added the less harm it does, so that every step goes towards nothing."""

    def value(blend):
        return ALONE if blend.empty else ALONE - loss * (1 + sum(table_and_trend(blend)))

    assert chosen(value, MOVES) == NO_BLEND


def test_one_setting_after_the_other():
    """The best of a separable value is found, whatever the order of the moves."""

    def value(blend):
        table, trend = table_and_trend(blend)
        return -abs(table - 0.3) - abs(trend - 1.9)

    for moves in (MOVES, MOVES[::-1]):
        assert table_and_trend(chosen(value, moves)) == (0.3, 2.0)


def test_a_fork_is_followed_beside_the_first_way():
    """What the fork adds is worse at first, and better once the trend has its weight."""

    def value(blend):
        table = blend.of(ItemItemSettings)
        trend = blend.of(TrendSettings).weight
        if table.half_life_days is None:
            return 0.2 + table.weight
        return 0.1 + table.weight + trend

    fresh = Move(
        Stage.FORK,
        ItemItemSettings,
        lambda settings: [settings.changed(half_life_days=3.0)],
        forced=True,
    )
    best = chosen(value, [*MOVES, fresh])
    assert best.of(ItemItemSettings).half_life_days == 3.0
    assert table_and_trend(best) == (0.4, 2.0)


LENGTHS = [
    Move(
        Stage.VECTORS,
        PopularitySettings,
        lambda settings: [settings.changed(length_power=power) for power in (0.0, 0.5)],
    )
]


@pytest.mark.parametrize(("errors", "power"), [(0.9, 0.0), (1.1, 0.5)])
def test_a_change_is_kept_where_it_gains_beyond_noise(errors, power):
    """What it gains is so many standard errors of the paired differences."""
    noise = np.random.default_rng(0).normal(size=USERS)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    users = np.random.default_rng(1).random(USERS)

    def values(blend):
        gain = errors / math.sqrt(USERS) + noise
        return users + gain if blend.scaling.stretches else users

    gain = difference(values(Blend.of_terms(popularity={"length_power": 0.5})), values(NO_BLEND))
    assert gain.mean / gain.error == pytest.approx(errors)
    assert gain.beyond(STEP_ERRORS)
    assert Search(values).best(LENGTHS).of(PopularitySettings).length_power == power


def test_three_users_keep_nothing():
    """However large what they gain is."""

    def values(blend):
        return np.full(3, 1.0 if blend.scaling.stretches else 0.1)

    assert Search(values).best(LENGTHS) == NO_BLEND


def test_what_gains_nothing_is_left_out_again():
    """The trend helps; the table beside it, from which the search starts, does not."""

    def value(blend):
        _, trend = table_and_trend(blend)
        return min(trend, 1.0)

    assert table_and_trend(chosen(value, MOVES)) == (0.0, 1.0)


def test_among_equals_the_less_extreme():
    days = grid(Stage.EVERYBODY, TrendSettings, weight=[1.0], half_life_days=[0.5, 3.0, 40.0, 20.0])

    def value(blend):
        return 0.3 if blend.of(TrendSettings).weight else 0.1

    assert chosen(value, [days]).of(TrendSettings).half_life_days == 40.0


@pytest.mark.parametrize("best", [500.0, 5_000.0, 20_000.0, 2.0, 30.0])
def test_a_ladder_is_climbed_past_its_ends(best):
    ridges = Ladder((15.0, 50.0, 5.0, 150.0), lowest=0.5, highest=20_000.0)
    moves = [MOVES[0], grid(Stage.GRID, ItemItemSettings, ridge=ridges)]

    def value(blend):
        table = blend.of(ItemItemSettings)
        return -abs(math.log(table.ridge / best)) - (1 - table.weight) * 9

    ridge = chosen(value, moves).of(ItemItemSettings).ridge
    assert abs(math.log(ridge / best)) < math.log(3.4) / 2 + 0.01


def test_a_ladder_ends():
    """Where more is always better: by its bound, and by the number of steps."""
    for highest in (20.0, 1e9):
        ladder = Ladder((1.0, 2.0, 4.0), lowest=0.5, highest=highest)
        best = chosen(
            lambda blend: blend.of(TrendSettings).weight,
            [grid(Stage.EVERYBODY, TrendSettings, weight=ladder, half_life_days=[30.0])],
        )
        assert best.of(TrendSettings).weight == min(
            16.0 if highest == 20.0 else 1e9, 4 * 2**MOST_STEPS
        )


def test_whole_numbers_stay_whole():
    ladder = Ladder((512, 256, 64), lowest=8, highest=512)
    assert ladder.beyond(64) == 16 and isinstance(ladder.beyond(64), int)
    assert ladder.beyond(512) is None and ladder.beyond(256) is None and ladder.beyond(8) is None
    assert Ladder((None, 4.0), 1.0, 9.0).beyond(4.0) is None


def test_one_part_is_simpler_than_two():
    """Popularity by itself goes live where the vectors add nothing to it, and the vectors by
    themselves where nothing adds to them.
    """
    beside = NO_BLEND.with_settings(MostPopularSettings(weight=1.0))
    alone = beside.with_settings(TrainedVectorsSettings(weight=0))
    search = Search(for_everybody(lambda blend: 0.1 if blend == NO_BLEND else 0.2))
    for blend in (NO_BLEND, beside, alone):
        search.values(blend)
    assert search.simplest() == alone

    equal = Search(for_everybody(lambda blend: 0.2))
    for blend in (alone, beside, NO_BLEND):
        equal.values(blend)
    assert equal.simplest() == NO_BLEND


def test_a_climb_goes_on_to_the_top():
    def beside(settings):
        steps = (0.0, 0.1, -0.1)
        return [settings.changed(length_power=settings.length_power + step) for step in steps]

    climb = Move(Stage.ITEMS_AGAIN, PopularitySettings, beside, climbs=True)

    def value(blend):
        return -((blend.scaling.length_power - 0.7) ** 2)

    best = chosen(value, [climb]).scaling.length_power
    assert math.isclose(best, 0.7, abs_tol=1e-6)


def test_every_blend_is_asked_once():
    asked = []

    def value(blend):
        asked.append(blend)
        return np.full(USERS, sum(table_and_trend(blend)))

    Search(value).best(MOVES)
    assert len(asked) == len(set(asked))
    assert asked.count(Blend.read({})) == 1

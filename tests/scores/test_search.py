"""The search over settings of terms, on values made up for it."""

import math

import pytest

from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.search import CLEAR, Search
from recsys.scores.term import Move, Stage
from recsys.scores.terms.item_item import ItemItemSettings
from recsys.scores.terms.popularity import PopularitySettings
from recsys.scores.terms.trend import TrendSettings

ALONE = 0.2


def weights(*values):
    return lambda settings: [settings.changed(weight=value) for value in values]


MOVES = [
    Move(Stage.START, ItemItemSettings, weights(0.2)),
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

    assert Search(value).best(MOVES) == NO_BLEND


def test_one_setting_after_the_other():
    """The best of a separable value is found, whatever the order of the moves."""

    def value(blend):
        table, trend = table_and_trend(blend)
        return -abs(table - 0.3) - abs(trend - 1.9)

    for moves in (MOVES, MOVES[::-1]):
        assert table_and_trend(Search(value).best(moves)) == (0.3, 2.0)


def test_a_fork_is_followed_beside_the_first_way():
    """What the fork adds is worse at first, and better once the trend has its weight."""

    def value(blend):
        table = blend.of(ItemItemSettings)
        trend = blend.of(TrendSettings).weight
        if table.half_life_days is None:
            return 0.2 + table.weight
        return 0.1 + table.weight + trend

    fresh = Move(
        Stage.FORK, ItemItemSettings, lambda settings: [settings.changed(half_life_days=3.0)]
    )
    best = Search(value).best([*MOVES, fresh])
    assert best.of(ItemItemSettings).half_life_days == 3.0
    assert table_and_trend(best) == (0.3, 2.0)


def test_vectors_are_changed_only_where_that_is_clearly_better():
    moves = [
        Move(
            Stage.VECTORS,
            PopularitySettings,
            lambda settings: [settings.changed(length_power=power) for power in (0.0, 0.5)],
        )
    ]
    for gain, power in ((CLEAR - 0.01, 0.0), (CLEAR + 0.01, 0.5)):

        def value(blend, gain=gain):
            return ALONE * (gain if blend.scaling.stretches else 1.0)

        assert Search(value).best(moves).of(PopularitySettings).length_power == power


def test_a_climb_goes_on_to_the_top():
    def beside(settings):
        steps = (0.0, 0.1, -0.1)
        return [settings.changed(length_power=settings.length_power + step) for step in steps]

    climb = Move(Stage.ITEMS_AGAIN, PopularitySettings, beside, climbs=True)

    def value(blend):
        return -((blend.scaling.length_power - 0.7) ** 2)

    best = Search(value).best([climb]).scaling.length_power
    assert math.isclose(best, 0.7, abs_tol=1e-6)


def test_every_blend_is_asked_once():
    asked = []

    def value(blend):
        asked.append(blend)
        return sum(table_and_trend(blend))

    Search(value).best(MOVES)
    assert len(asked) == len(set(asked))
    assert asked.count(Blend.read({})) == 1

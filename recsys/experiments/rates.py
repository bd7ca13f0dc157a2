"""Rates of shown lists, as they grew day by day.

    click_through    lists with an event on one of their items, of all lists
    clicks_per_list  items with an event, by list
    conversion       lists with an event of the target behaviour, of all lists
    clickers         users with an event on a list, of all users with a list
    converters       users with an event of the target behaviour on a list

An event counts for the list whose id it carries, from its own day on.
"""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from recsys.core.tables import ANSWER, ARM, BEHAVIOR, ITEM_ID, RANK, TIME, USER_ID
from recsys.experiments.records import Records, given_items, shown_items

DAY = "day"
NUMERATOR = "numerator"
DENOMINATOR = "denominator"
GIVEN_RANK = "given_rank"
IS_TARGET = "is_target"

_SECONDS_A_DAY = 86_400
_NUMERATOR_ROW = (pl.lit(1.0).alias(NUMERATOR), pl.lit(0.0).alias(DENOMINATOR))
_DENOMINATOR_ROW = (pl.lit(0.0).alias(NUMERATOR), pl.lit(1.0).alias(DENOMINATOR))
# Of each rate, whether its unit is the user rather than the list, and whether it counts events of the
# target behaviour alone.
_KINDS = {
    "click_through": (False, False),
    "clicks_per_list": (False, False),
    "conversion": (False, True),
    "clickers": (True, False),
    "converters": (True, True),
}


@dataclass(frozen=True)
class Shown:
    """What was shown of some answers, and done with it.

    answers: those that count. target: name of the target behaviour; None counts every event as one.
    """

    answers: pl.DataFrame
    records: Records
    target: str | None

    @cached_property
    def items(self) -> pl.DataFrame:
        """answer, user, item, place, time, rank in the answer, arm; items that the answer did not hold
        are left out.
        """
        answered = given_items(self.answers).rename({RANK: GIVEN_RANK})
        shown = shown_items(self.records).join(answered, on=[ANSWER, USER_ID, ITEM_ID])
        arms = self.answers.select(ANSWER, ARM)
        return shown.join(arms, on=ANSWER).with_columns(_day())

    @cached_property
    def lists(self) -> pl.DataFrame:
        """answer, user, arm, day on which it was shown first."""
        return self.items.group_by(ANSWER, USER_ID, ARM).agg(pl.col(DAY).min())

    @cached_property
    def events(self) -> pl.DataFrame:
        """answer, user, item, arm, day, is_target: one row for each event on an item that was shown, not
        before it was.
        """
        is_target = pl.lit(True) if self.target is None else _is(self.target)
        done = self.records.events.drop_nulls(ANSWER).select(
            ANSWER, USER_ID, ITEM_ID, is_target.alias(IS_TARGET), _day().alias("event_day")
        )
        rows = done.join(self.items, on=[ANSWER, USER_ID, ITEM_ID])
        # An event that is written down for a day before the list was shown counts from that day on.
        later = pl.max_horizontal("event_day", DAY).alias(DAY)
        return rows.select(ANSWER, USER_ID, ITEM_ID, ARM, IS_TARGET, later)

    def growth(self, rate: str) -> pl.DataFrame:
        """By arm, user and day, what was added to the numerator and to the denominator of a rate."""
        of_users, of_targets = _KINDS[rate]
        events = self.events.filter(pl.col(IS_TARGET)) if of_targets else self.events
        unit = [ARM, USER_ID] if of_users else [ARM, USER_ID, ANSWER]
        # A unit counts once, from its first event on; of clicks_per_list each of its items does.
        hit = [*unit, ANSWER, ITEM_ID] if rate == "clicks_per_list" else unit
        above = _first_days(events, hit).with_columns(_NUMERATOR_ROW)
        below = _first_days(self.lists, unit).with_columns(_DENOMINATOR_ROW)
        by = [ARM, USER_ID, DAY]
        return pl.concat([above, below]).group_by(by).agg(pl.sum(NUMERATOR, DENOMINATOR)).sort(by)


def _first_days(rows: pl.DataFrame, unit: list[str]) -> pl.DataFrame:
    """Of each unit, the day on which it came first."""
    first = rows.group_by(list(dict.fromkeys(unit))).agg(pl.col(DAY).min())
    return first.select(ARM, USER_ID, DAY)


def _day() -> pl.Expr:
    """Number of the day since 1970, UTC."""
    return (pl.col(TIME) // _SECONDS_A_DAY).alias(DAY)


def _is(target: str) -> pl.Expr:
    """Events of a log without behaviours are all of the target's."""
    return pl.col(BEHAVIOR).is_null() | (pl.col(BEHAVIOR) == target)

"""Whether validation is like the test: a run chooses on one and is judged on the other.

Nothing here steers a choice; what differs in kind is told, and the key that would mend it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Float64Array, Int64Array
from recsys.core.config import Task
from recsys.core.interactions import DAY_SECONDS
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits

MIN_ROWS = 100
"""Fewer held-out rows (or users) on either side decide nothing."""
LARGE_H = 0.8
"""Shares differ in kind from this effect on (Cohen's h; 0.8 is a large one): 0 % and 16 %, 30 % and
69 %, 97 % and 70 %.
"""
LARGE_DELTA = 0.474
"""Numbers differ in kind from this effect on (Cliff's delta; 0.474 is a large one) …"""
LARGE_RATIO = 1.5
"""… if their medians, each plus one, are this far apart, too: where nearly all users have as many
rows, the order of 40 and 45 means nothing.
"""

Unit = Literal["share", "rows", "days"]


@dataclass(frozen=True)
class Measure:
    """One trait of what is held out, in validation and in the test.

    name: what is measured, in words.
    unit: of the two values.
    validation, test: a share, or the median of numbers.
    rows: how many validation and test rows (or users) it rests on.
    effect: validation over test: Cohen's h of shares, Cliff's delta of numbers.
    differs: whether the two differ in kind.
    """

    name: str
    unit: Unit
    validation: float
    test: float
    rows: tuple[int, int]
    effect: float
    differs: bool

    @property
    def excess(self) -> float:
        """How far the effect is beyond the threshold, as a share of it; 0 where nothing differs."""
        threshold = LARGE_H if self.unit == "share" else LARGE_DELTA
        return max(abs(self.effect) / threshold - 1, 0.0) if self.differs else 0.0

    @property
    def sentence(self) -> str:
        """ "pairs met before under another behavior: 97 % in validation, 0 % in the test"."""
        validation = self._words(self.validation)
        return f"{self.name}: {validation} in validation, {self._words(self.test)} in the test"

    def _words(self, value: float) -> str:
        if self.unit == "share":
            return f"{100 * value:.0f} %"
        return f"{value:,.0f} {self.unit}" if value != 1 else f"1 {self.unit[:-1]}"


COLD = "rows of unknown users or items"
MET = "pairs met before under another behavior"
LATER = "rows later than all that their user did before"
POPULARITY = "popularity of the items, median"
ACTIVITY = "history of the users, median"
AGE = "age of the items, median"


NEVER = np.iinfo(np.int64).max
"""The first time of an item without a row."""


@dataclass(frozen=True)
class Learned:
    """What is learned from, by item: of all rows, or of those of some users, which are added.

    rows: (items,) of all behaviours.
    target_rows: (items,) of the target behaviour.
    first: (items,) time of the first row, NEVER without one.
    times: the first and the last; NEVER and its opposite for a log without times.
    """

    rows: Int64Array
    target_rows: Int64Array
    first: Int64Array
    times: tuple[int, int]

    def __add__(self, other: "Learned") -> "Learned":
        times = (min(self.times[0], other.times[0]), max(self.times[1], other.times[1]))
        first = np.minimum(self.first, other.first)
        return Learned(self.rows + other.rows, self.target_rows + other.target_rows, first, times)


@dataclass(frozen=True)
class HeldOutCounts:
    """What is counted of held-out rows: of all, or of those of some users, which are added.

    rows: of them.
    cold: of users or items that no row is learned from.
    warm: the others, without pairs that do not count.
    met: of the warm, those whose user met the item under another behaviour.
    later: of the warm, those that are not before any row of their user.
    warm_rows: (items,) the warm.
    users: (n,) how many users have 0, 1, … n − 1 rows of the target behaviour to learn from.
    warm_users: (n,) of them, those with a warm row.
    """

    rows: int
    cold: int
    warm: int
    met: int
    later: int
    warm_rows: Int64Array
    users: Int64Array
    warm_users: Int64Array

    def __add__(self, other: "HeldOutCounts") -> "HeldOutCounts":
        return HeldOutCounts(
            self.rows + other.rows,
            self.cold + other.cold,
            self.warm + other.warm,
            self.met + other.met,
            self.later + other.later,
            self.warm_rows + other.warm_rows,
            _added(self.users, other.users),
            _added(self.warm_users, other.warm_users),
        )


class Part(NamedTuple):
    """What is held out, and what is learned from before it."""

    learned: Learned
    held_out: HeldOutCounts


class _Numbers(NamedTuple):
    """Values of a trait.

    shown: (n,) in their unit.
    compared: (n,) free of how many rows were learned from, which differs between the two parts.
    """

    shown: Float64Array
    compared: Float64Array


def compare(splits: Splits, target: str, task: Task, log: CodedLog) -> list[Measure]:
    """How validation and test compare in what can be measured; empty when nothing is held out for
    validation.

    Args:
        splits: Of the behaviour `target`.
        target: The behaviour that is predicted.
        task: "new" leaves out pairs that were met, as all figures do.
        log: Where the rows are from.
    """
    if not len(splits.validation):
        return []
    num_items = len(log.items)
    # The model that is judged on the test has learned from validation as well: "final".
    validation = _part(splits.validation, splits.train, target, task, num_items)
    test = _part(splits.test, splits.rows("final"), target, task, num_items)
    return measures_of(validation, test, BEHAVIOR in splits.train.columns, task, log)


def _part(
    rows: pl.DataFrame, before: pl.DataFrame, target: str, task: Task, num_items: int
) -> Part:
    learned = count_learned(before, target, num_items)
    return Part(learned, count_held_out(rows, before, learned.rows > 0, target, task))


def measures_of(
    validation: Part, test: Part, has_others: bool, task: Task, log: CodedLog
) -> list[Measure]:
    """How the counts of all rows compare; validation has a row at least.

    has_others: whether rows name their behaviours. task, log: as in `compare`.
    """
    held_out = (validation.held_out, test.held_out)
    cold = [(counts.cold, counts.rows) for counts in held_out]
    measures = [_shares(COLD, *cold)]
    if has_others and task == "any":
        met = [(counts.met, counts.warm) for counts in held_out]
        measures.append(_shares(MET, *met))
    if log.has_order and not log.parts_without_times:
        later = [(counts.later, counts.warm) for counts in held_out]
        measures.append(_shares(LATER, *later))
    measures.append(_medians(POPULARITY, "rows", _popularity(validation), _popularity(test)))
    measures.append(_medians(ACTIVITY, "rows", _activity(validation), _activity(test)))
    if log.has_clock:
        measures.append(_medians(AGE, "days", _age(validation), _age(test)))
    return measures


def count_learned(rows: pl.DataFrame, target: str, num_items: int) -> Learned:
    """What is learned from, by item: of all rows, or of those of some users."""
    items = rows[ITEM].to_numpy()
    of_target = items
    if BEHAVIOR in rows.columns:
        of_target = items[(rows[BEHAVIOR] == target).to_numpy()]
    first, times = np.full(num_items, NEVER), (NEVER, -NEVER)
    if TIME in rows.columns and len(rows):
        seconds = rows[TIME].to_numpy()
        # `at` takes every row into account where an item comes several times.
        np.minimum.at(first, items, seconds)
        times = (int(seconds.min()), int(seconds.max()))
    counts = np.bincount(items, minlength=num_items)
    target_counts = np.bincount(of_target, minlength=num_items)
    return Learned(counts, target_counts, first, times)


def count_held_out(
    rows: pl.DataFrame, learned: pl.DataFrame, known_items: BoolArray, target: str, task: Task
) -> HeldOutCounts:
    """What is counted of held-out rows: of all, or of those of some users.

    Args:
        rows: Held out.
        learned: All that is learned from of the same users.
        known_items: (items,) whether a row of anybody is learned from.
        target: The behaviour that is predicted.
        task: "new" leaves out pairs that were met.
    """
    users = learned.select(USER).unique()
    is_known = pl.Series(known_items[rows[ITEM].to_numpy()])
    warm = rows.filter(is_known).join(users, on=USER, how="semi")
    num_cold = len(rows) - len(warm)
    if task == "new":
        warm = warm.join(learned, on=[USER, ITEM], how="anti")
    of_target, others = learned, learned.clear()
    if BEHAVIOR in learned.columns:
        of_target = learned.filter(pl.col(BEHAVIOR) == target)
        others = learned.filter(pl.col(BEHAVIOR) != target)
    # Long enough for warm users without a row of the target behaviour, who are to count as 0.
    warm_users = warm[USER].unique().to_numpy()
    num_codes = 1 + int(warm_users.max(initial=-1))
    rows_of_user = np.bincount(of_target[USER].to_numpy(), minlength=num_codes)
    return HeldOutCounts(
        rows=len(rows),
        cold=num_cold,
        warm=len(warm),
        met=warm.join(others, on=[USER, ITEM], how="semi").height,
        later=_num_later(warm, learned),
        warm_rows=np.bincount(warm[ITEM].to_numpy(), minlength=len(known_items)),
        users=np.bincount(rows_of_user),
        warm_users=np.bincount(rows_of_user[warm_users]),
    )


def total_excess(measures: Iterable[Measure]) -> float:
    """How much validation and test differ in kind, over all measures."""
    return sum(measure.excess for measure in measures)


def has_enough_rows(measures: Iterable[Measure]) -> bool:
    """Whether every measure rests on enough rows of both parts."""
    return all(min(measure.rows) >= MIN_ROWS for measure in measures)


def _num_later(warm: pl.DataFrame, learned: pl.DataFrame) -> int:
    """Rows that are not before any row of their user that is learned from; 0 without times."""
    if TIME not in learned.columns:
        return 0
    last = learned.group_by(USER).agg(last=pl.col(TIME).max())
    joined = warm.join(last, on=USER)
    return int((joined[TIME] >= joined["last"]).sum())


def _popularity(part: Part) -> _Numbers:
    """(warm,) rows of the item under the target behaviour, compared by their place among rows."""
    # At n: how many items have n rows, and how many warm rows are of such items.
    target_rows = part.learned.target_rows
    num_items = np.bincount(target_rows)
    warm_rows = np.bincount(target_rows, weights=part.held_out.warm_rows)
    return _counts(num_items, warm_rows.astype(np.int64))


def _activity(part: Part) -> _Numbers:
    """(users,) rows of the user under the target behaviour, compared by their place among rows."""
    return _counts(part.held_out.users, part.held_out.warm_users)


def _counts(learned: Int64Array, held_out: Int64Array) -> _Numbers:
    """(held out,) how often each held-out item or user is learned from.

    learned: (n,) how many items or users have 0, 1, … n − 1 rows that are learned from.
    held_out: (n or fewer,) how often one with so many is held out.
    """
    count = np.arange(len(learned))
    # Where a count stands among those of all rows learned from: 0 the rarest, 1 the most frequent.
    # The mid-rank of its rows: (rows up to the count − half of its own) / all rows.
    rows = count * learned
    up_to = np.cumsum(rows)
    percentile_rank = (2 * up_to - rows) / (2 * max(int(rows.sum()), 1))
    # Each count as often as it is held out.
    which = np.repeat(np.arange(len(held_out)), held_out)
    return _Numbers(count.astype(np.float64)[which], percentile_rank[which])


def _age(part: Part) -> _Numbers:
    """(warm,) days from the item's first row to the last that is learned from, compared as a share
    of the time that is known.
    """
    item = np.repeat(np.arange(len(part.learned.first)), part.held_out.warm_rows)
    first, last = part.learned.times
    seconds = last - part.learned.first[item]
    span = max(last - first, 1)
    return _Numbers(seconds / DAY_SECONDS, seconds / span)


def _added(first: Int64Array, second: Int64Array) -> Int64Array:
    """Sum of two arrays, the shorter one with zeros behind it."""
    shorter, longer = sorted((first, second), key=len)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total


def _shares(name: str, validation: tuple[int, int], test: tuple[int, int]) -> Measure:
    """Compare how often something is so: of both parts, how often and of how many."""
    shares = (validation[0] / max(validation[1], 1), test[0] / max(test[1], 1))
    # Cohen's h = 2 arcsin √p − 2 arcsin √q: the distance of two shares on a scale where it is as
    # sure everywhere.
    angles = 2 * np.arcsin(np.sqrt(shares))
    effect = float(angles[0] - angles[1])
    rows = (validation[1], test[1])
    differs = abs(effect) >= LARGE_H and min(rows) >= MIN_ROWS
    return Measure(name, "share", *shares, rows, effect, differs)


def _medians(name: str, unit: Unit, validation: _Numbers, test: _Numbers) -> Measure:
    """Compare numbers by their order, and show their medians."""
    effect = _cliffs_delta(validation.compared, test.compared)
    rows = (len(validation.compared), len(test.compared))
    medians = (_median(validation.shown), _median(test.shown))
    # Plus one, so that medians of 0 can be compared.
    ratio = (max(medians) + 1) / (min(medians) + 1)
    is_large = abs(effect) >= LARGE_DELTA and ratio >= LARGE_RATIO
    differs = is_large and min(rows) >= MIN_ROWS
    return Measure(name, unit, *medians, rows, effect, differs)


def _cliffs_delta(first: Float64Array, second: Float64Array) -> float:
    """How much more often a value of the first is above one of the second than below it, −1 to 1."""
    if not len(first) or not len(second):
        return 0.0
    # δ = (pairs with first > second − pairs with first < second) / all pairs, from places in the
    # sorted second values: all pairs side by side would take n · m memory.
    ordered = np.sort(second)
    num_pairs = len(first) * len(second)
    num_below = np.searchsorted(ordered, first, side="left").sum(dtype=np.float64)
    num_up_to = np.searchsorted(ordered, first, side="right").sum(dtype=np.float64)
    num_above = num_pairs - num_up_to
    return float((num_below - num_above) / num_pairs)


def _median(values: Float64Array) -> float:
    return float(np.median(values)) if len(values) else 0.0

"""Whether validation is like the test: a run chooses on one and is judged on the other.

Nothing here steers a choice; what differs in kind is told, and the key that would mend it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Float64Array
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


@dataclass(frozen=True)
class _Part:
    """What is held out, and what is learned from before it.

    rows: held-out rows.
    warm: those of known users and items, without pairs that do not count.
    learned: rows of all behaviours.
    target: those of the target behaviour.
    """

    rows: pl.DataFrame
    warm: pl.DataFrame
    learned: pl.DataFrame
    target: pl.DataFrame


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
    validation = _part(splits.validation, splits.train, target, task)
    test = _part(splits.test, splits.rows("final"), target, task)
    measures = [_shares(COLD, _is_cold(validation), _is_cold(test))]
    if BEHAVIOR in splits.train.columns and task == "any":
        measures.append(_shares(MET, _is_met(validation, target), _is_met(test, target)))
    if log.has_order and not log.parts_without_times:
        measures.append(_shares(LATER, _is_later(validation), _is_later(test)))
    measures.append(_medians(POPULARITY, "rows", _popularity(validation), _popularity(test)))
    measures.append(_medians(ACTIVITY, "rows", _activity(validation), _activity(test)))
    if log.has_clock:
        measures.append(_medians(AGE, "days", _age(validation), _age(test)))
    return measures


def total_excess(measures: Iterable[Measure]) -> float:
    """How much validation and test differ in kind, over all measures."""
    return sum(measure.excess for measure in measures)


def has_enough_rows(measures: Iterable[Measure]) -> bool:
    """Whether every measure rests on enough rows of both parts."""
    return all(min(measure.rows) >= MIN_ROWS for measure in measures)


def _part(rows: pl.DataFrame, learned: pl.DataFrame, target: str, task: Task) -> _Part:
    users = learned.select(USER).unique()
    items = learned.select(ITEM).unique()
    warm = rows.join(users, on=USER, how="semi").join(items, on=ITEM, how="semi")
    of_target = learned
    if BEHAVIOR in learned.columns:
        of_target = learned.filter(pl.col(BEHAVIOR) == target)
    if task == "new":
        warm = warm.join(learned, on=[USER, ITEM], how="anti")
    return _Part(rows, warm, learned, of_target)


def _is_cold(part: _Part) -> BoolArray:
    """(rows,) whether the user or the item is in no row that is learned from."""
    users = part.learned[USER].unique()
    items = part.learned[ITEM].unique()
    is_warm = part.rows[USER].is_in(users.implode()) & part.rows[ITEM].is_in(items.implode())
    return ~is_warm.to_numpy()


def _is_met(part: _Part, target: str) -> BoolArray:
    """(warm,) whether the user met the item under another behaviour."""
    others = part.learned.filter(pl.col(BEHAVIOR) != target)
    pairs = others.select(USER, ITEM).unique().with_columns(met=True)
    joined = part.warm.join(pairs, on=[USER, ITEM], how="left", maintain_order="left")
    return joined["met"].is_not_null().to_numpy()


def _is_later(part: _Part) -> BoolArray:
    """(warm,) whether the row is not before any row of its user that is learned from."""
    last = part.learned.group_by(USER).agg(last=pl.col(TIME).max())
    joined = part.warm.join(last, on=USER, how="left", maintain_order="left")
    return (joined[TIME] >= joined["last"]).to_numpy()


def _popularity(part: _Part) -> _Numbers:
    """(warm,) rows of the item under the target behaviour, compared by their place among rows."""
    return _counts(part.target[ITEM], part.warm[ITEM])


def _activity(part: _Part) -> _Numbers:
    """(users,) rows of the user under the target behaviour, compared by their place among rows."""
    return _counts(part.target[USER], part.warm[USER].unique().sort())


def _counts(learned: pl.Series, held_out: pl.Series) -> _Numbers:
    """(held out,) how often each code is learned from."""
    num_codes = 1 + max(_largest(learned), _largest(held_out))
    counts = np.bincount(learned.to_numpy(), minlength=num_codes)
    shown = counts[held_out.to_numpy()].astype(np.float64)
    # Where a count stands among those of all rows learned from: 0 the rarest, 1 the most frequent.
    of_rows = np.sort(counts[learned.to_numpy()])
    below = np.searchsorted(of_rows, shown, side="left")
    up_to = np.searchsorted(of_rows, shown, side="right")
    return _Numbers(shown, (below + up_to) / (2 * max(len(of_rows), 1)))


def _largest(codes: pl.Series) -> int:
    return int(codes.to_numpy().max(initial=-1))


def _age(part: _Part) -> _Numbers:
    """(warm,) days from the item's first row to the last that is learned from, compared as a share
    of the time that is known.
    """
    first = part.learned.group_by(ITEM).agg(first=pl.col(TIME).min())
    joined = part.warm.join(first, on=ITEM, how="left", maintain_order="left")
    times = part.learned[TIME].to_numpy()
    seconds = times.max() - joined["first"].to_numpy()
    span = max(int(times.max() - times.min()), 1)
    return _Numbers(seconds / DAY_SECONDS, seconds / span)


def _shares(name: str, validation: BoolArray, test: BoolArray) -> Measure:
    """Compare how often something is so."""
    shares = (_mean(validation), _mean(test))
    # Cohen's h: the distance of two shares on a scale where it is as sure everywhere.
    angles = 2 * np.arcsin(np.sqrt(shares))
    effect = float(angles[0] - angles[1])
    rows = (len(validation), len(test))
    differs = abs(effect) >= LARGE_H and min(rows) >= MIN_ROWS
    return Measure(name, "share", *shares, rows, effect, differs)


def _medians(name: str, unit: Unit, validation: _Numbers, test: _Numbers) -> Measure:
    """Compare numbers by their order, and show their medians."""
    effect = _cliffs_delta(validation.compared, test.compared)
    rows = (len(validation.compared), len(test.compared))
    medians = (_median(validation.shown), _median(test.shown))
    ratio = (max(medians) + 1) / (min(medians) + 1)
    is_large = abs(effect) >= LARGE_DELTA and ratio >= LARGE_RATIO
    differs = is_large and min(rows) >= MIN_ROWS
    return Measure(name, unit, *medians, rows, effect, differs)


def _cliffs_delta(first: Float64Array, second: Float64Array) -> float:
    """How much more often a value of the first is above one of the second than below it, −1 to 1."""
    if not len(first) or not len(second):
        return 0.0
    ordered = np.sort(second)
    num_below = np.searchsorted(ordered, first, side="left").sum(dtype=np.float64)
    num_above = len(first) * len(second) - np.searchsorted(ordered, first, side="right").sum(
        dtype=np.float64
    )
    return float((num_below - num_above) / (len(first) * len(second)))


def _mean(values: BoolArray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _median(values: Float64Array) -> float:
    return float(np.median(values)) if len(values) else 0.0

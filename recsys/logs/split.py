"""Which rows a model may learn from, and which ones judge it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray, Int64Array
from recsys.core.artefacts import read_json, write_json
from recsys.core.config import SplitConfig
from recsys.core.errors import DataError, UsageError, nearest
from recsys.core.table_files import read_parquet
from recsys.core.tables import BEHAVIOR, ITEM, SPLIT, TIME, USER, Drops, in_order
from recsys.logs.clean import facts
from recsys.logs.ingest import CodedLog
from recsys.logs.per_user import (
    count_of,
    order_by_hash,
    order_by_time,
    place_ends,
    place_others,
    share_of,
)
from recsys.logs.time_cut import (
    DROPPED,
    LATER,
    TEST,
    TRAIN,
    VALIDATION,
    cut_moment,
    place_by_moments,
)

OTHER_LATE = "other behavior after the held-out row or cut"
OTHER_HELD = "other behavior in a held-out file"
AFTER_FOLD = "after the window of the fold"
KNOWN_TEST = "test pair already in train"
KNOWN_VALIDATION = "validation pair already in train"

Phase = Literal["select", "final"]


@dataclass(frozen=True)
class Splits:
    """Coded rows in total order: what is learned from, what chooses, what judges.

    validation, test: rows of the target behaviour whose pair is not in what was learned from
    before. after_train: rows of other behaviours that are known when the test begins, but not when
    validation does. cuts: first moment held out. time_safe: no row learned from is later than any
    row it is judged by.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    after_train: pl.DataFrame
    drops: Drops
    cuts: dict[str, int]
    time_safe: bool
    method: str

    def rows(self, phase: Phase) -> pl.DataFrame:
        """What may be learned from: "select" before validation, "final" before the test."""
        if phase == "select":
            return self.train
        return in_order(pl.concat([self.train, self.validation, self.after_train]))

    def save(self, folder: Path) -> None:
        """Write train, validation, test and after_train .parquet, and split.json."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _TABLES:
            getattr(self, name).write_parquet(folder / f"{name}.parquet")
        write_json(folder / "split.json", self.document())

    def document(self) -> dict[str, object]:
        """What was done, as JSON."""
        return {
            "method": self.method,
            "time_safe": self.time_safe,
            "cuts": self.cuts,
            "drops": facts(self.drops),
            "rows": {name: len(getattr(self, name)) for name in _TABLES},
        }


@dataclass(frozen=True)
class _Placed:
    """Rows, where each goes, and what was found out on the way."""

    rows: pl.DataFrame
    place: NDArray[np.int8]
    time_safe: bool
    cuts: dict[str, int]
    drops: Drops


_TABLES = ("train", "validation", "test", "after_train")


def load(folder: Path) -> Splits:
    """The splits that were saved in `folder`."""
    document = read_json(folder / "split.json")
    train, validation, test, after = (read_parquet(folder / f"{name}.parquet") for name in _TABLES)
    drops = Drops(document["drops"])
    return Splits(
        train,
        validation,
        test,
        after,
        drops,
        document["cuts"],
        document["time_safe"],
        document["method"],
    )


def split_log(log: CodedLog, config: SplitConfig, target: str, seed: int) -> Splits:
    """Hold out rows of the behaviour `target` as `config` says; a fixed seed fixes every draw.

    Cuts are counted in target rows. Rows of other behaviours are learned from only as far as they
    were known: not after the cut (by time), not after the held-out row of the same pair (per user).
    A user's first row never leaves train in the methods per user. Raises DataError when the log
    cannot be split so.
    """
    rows = log.rows.collect()
    wanted = _target_rows(rows, log, target)
    method = _method(config, rows.columns)
    if method == "given":
        placed = _given(rows, wanted, config, log, seed)
    elif method in ("global_time", "rolling_time"):
        placed = _by_time(rows, wanted, config, method)
    else:
        placed = _per_user(rows, wanted, config, method, log, seed)
    return _assemble(placed, method, target)


def held_out_later(log: CodedLog, config: SplitConfig) -> bool:
    """Whether rows are held out by time: after all that is learned from, or after what their user
    did before.
    """
    columns = log.rows.collect_schema().names()
    if TIME not in columns:
        return False
    method = _method(config, columns)
    if method == "given":
        rows = log.rows.select(TIME, SPLIT).collect()
        return _time_safe(rows, _given_places(rows))
    return method != "random"


def folds(log: CodedLog, config: SplitConfig, target: str, seed: int) -> list[Splits]:
    """All folds of "rolling_time", the earliest first."""
    each = [
        config.model_copy(update={"method": "rolling_time", "fold": fold})
        for fold in range(config.folds)
    ]
    return [split_log(log, one, target, seed) for one in each]


def _method(config: SplitConfig, columns: list[str]) -> str:
    if SPLIT in columns or config.method == "given":
        if SPLIT not in columns or config.method not in ("auto", "given"):
            raise UsageError(
                f"split.method = {config.method!r} does not fit the data",
                'data.train and data.test go with "given" (or "auto"), data.log with the other methods',
            )
        return "given"
    if config.method == "auto":
        return "global_time" if TIME in columns else "random"
    if config.method != "random" and TIME not in columns:
        raise DataError(
            f"split.method = {config.method!r} needs times",
            'Map --time-col, or set split.method = "random"',
        )
    return config.method


def _target_rows(rows: pl.DataFrame, log: CodedLog, target: str) -> BoolArray:
    if target not in log.behaviors:
        raise UsageError(
            f"the log has no behavior {target!r}; it has {list(log.behaviors)}",
            nearest(target, log.behaviors),
        )
    if BEHAVIOR not in rows.columns:
        return np.ones(len(rows), bool)
    return (rows[BEHAVIOR] == target).to_numpy()


def _by_time(rows: pl.DataFrame, target: BoolArray, config: SplitConfig, method: str) -> _Placed:
    time = rows[TIME].to_numpy()
    start, end = _window(time[target], config) if method == "rolling_time" else (None, None)
    inside = np.ones(len(rows), bool) if end is None else time < end
    test_cut = cut_moment(time[target], config.test_share) if start is None else start
    before = time[target & (time < test_cut)]
    validation_cut = (
        cut_moment(before, config.validation_share) if config.validation_share else None
    )
    place = place_by_moments(time, target, validation_cut, test_cut)
    cuts = {"validation": validation_cut, "test": test_cut, "end": end}
    known = {name: moment for name, moment in cuts.items() if moment is not None}
    drops = Drops({AFTER_FOLD: int((~inside).sum())})
    return _Placed(rows.filter(pl.Series(inside)), place[inside], True, known, drops)


def _window(time: Int64Array, config: SplitConfig) -> tuple[int, int | None]:
    """First moment of the fold's window and the first one after it: windows of `test_share`, back
    from the end.
    """
    fold = config.fold if config.fold >= 0 else config.folds + config.fold
    if not 0 <= fold < config.folds or config.folds * config.test_share >= 1:
        raise UsageError(
            f"fold {config.fold} of {config.folds} with {config.test_share:.0%} of the rows each does not exist",
            "Folds count from 0 (−1 is the latest), and all windows together must be less than the log",
        )
    back = config.folds - fold
    start = cut_moment(time, back * config.test_share)
    return start, cut_moment(time, (back - 1) * config.test_share) if back > 1 else None


def _per_user(
    rows: pl.DataFrame,
    target: BoolArray,
    config: SplitConfig,
    method: str,
    log: CodedLog,
    seed: int,
) -> _Placed:
    wanted = rows.filter(pl.Series(target))
    if int(np.bincount(wanted[USER].to_numpy()).max(initial=0)) <= 1:
        raise DataError(
            f"split.method = {method!r} leaves 0 test rows: every user has a single row",
            "Map --user-col to a column that names people, not visits or orders",
        )
    order = (
        order_by_hash(wanted, log.users, log.items, seed)
        if method == "random"
        else order_by_time(wanted)
    )
    counts = share_of(config.test_share), share_of(config.validation_share)
    if method == "leave_last":
        counts = count_of(config.last), count_of(config.last if config.validation_share else 0)
    place = np.full(len(rows), TRAIN, np.int8)
    place[target] = place_ends(wanted[USER].to_numpy(), order, *counts)
    if TIME in rows.columns:
        place = place_others(rows, target, place)
    return _Placed(rows, place, False, {}, Drops())


def _given(
    rows: pl.DataFrame, target: BoolArray, config: SplitConfig, log: CodedLog, seed: int
) -> _Placed:
    place = _given_places(rows)
    held = (place != TRAIN) & ~target
    cuts: dict[str, int] = {}
    if config.validation_share and VALIDATION not in place:
        in_train = place == TRAIN
        place[in_train], cuts = _carve(
            rows.filter(pl.Series(in_train)), target[in_train], config, log, seed
        )
    drops = Drops({OTHER_HELD: int(held.sum())})
    rows, place = rows.drop(SPLIT).filter(pl.Series(~held)), place[~held]
    return _Placed(rows, place, _time_safe(rows, place), cuts, drops)


def _given_places(rows: pl.DataFrame) -> NDArray[np.int8]:
    codes = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    return rows[SPLIT].replace_strict(codes, return_dtype=pl.Int8).to_numpy().copy()


def _carve(
    train: pl.DataFrame, target: BoolArray, config: SplitConfig, log: CodedLog, seed: int
) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Validation out of published train rows: the latest when there is time, else random ones per
    user.
    """
    if TIME in train.columns:
        time = train[TIME].to_numpy()
        cut = cut_moment(time[target], config.validation_share)
        return place_by_moments(time, target, cut, int(time.max()) + 1), {"validation": cut}
    wanted = train.filter(pl.Series(target))
    order = order_by_hash(wanted, log.users, log.items, seed)
    place = np.full(len(train), TRAIN, np.int8)
    place[target] = place_ends(
        wanted[USER].to_numpy(), order, share_of(0), share_of(config.validation_share)
    )
    return place, {}


def _time_safe(rows: pl.DataFrame, place: NDArray[np.int8]) -> bool:
    if TIME not in rows.columns:
        return False
    time = rows[TIME].to_numpy()
    learned, checked, judged = time[place == TRAIN], time[place == VALIDATION], time[place == TEST]
    ends = [part for part in (learned, checked, judged) if len(part)]
    return all(early.max() <= late.min() for early, late in pairwise(ends))


def _assemble(placed: _Placed, method: str, target: str) -> Splits:
    tables = [
        placed.rows.filter(pl.Series(placed.place == one))
        for one in (TRAIN, VALIDATION, TEST, LATER)
    ]
    train, validation, test, later = (in_order(table) for table in tables)
    validation, known_validation = _without_known(validation, [train], target)
    test, known_test = _without_known(test, [train, validation], target)
    if not len(train) or not len(test):
        raise DataError(
            f"split.method = {method!r} leaves {len(train):,} train and {len(test):,} test rows",
            f"All {known_test:,} rows held out repeat pairs of train: is it the same file twice?"
            if known_test and method == "given"
            else "Give it more rows, or hold out another share (split.test_share)",
        )
    counts = {
        OTHER_LATE: int((placed.place == DROPPED).sum()),
        KNOWN_VALIDATION: known_validation,
        KNOWN_TEST: known_test,
    }
    drops = +(placed.drops + Drops(counts))
    return Splits(train, validation, test, later, drops, placed.cuts, placed.time_safe, method)


def _without_known(
    held: pl.DataFrame, learned: list[pl.DataFrame], target: str
) -> tuple[pl.DataFrame, int]:
    """Held-out rows whose pair is not among the target rows learned from, and how many that took."""
    rows = pl.concat(learned)
    pairs = rows.filter(pl.col(BEHAVIOR) == target) if BEHAVIOR in rows.columns else rows
    fresh = held.join(pairs, on=[USER, ITEM], how="anti", maintain_order="left")
    return fresh, len(held) - len(fresh)

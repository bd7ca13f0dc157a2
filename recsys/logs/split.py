"""Which rows a model may learn from, and which ones judge it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray
from recsys.core.artefacts import read_json, write_json
from recsys.core.config import SplitConfig, Task
from recsys.core.errors import DataError, UsageError, nearest
from recsys.core.ids import IdMap
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
from recsys.logs.placed_rows import PlacedRows
from recsys.logs.published_split import place_published, published_last, published_later
from recsys.logs.time_cut import (
    DROPPED,
    LATER,
    TEST,
    TRAIN,
    VALIDATION,
    Moments,
    MomentsInMemory,
    cut_moment,
    place_by_moments,
)

OTHER_LATE = "other behavior after the held-out row or cut"
OTHER_OF_PAIR = "other behavior of a held-out pair"
AFTER_FOLD = "after the window of the fold"
KNOWN_TEST = "test pair already in train"
KNOWN_VALIDATION = "validation pair already in train"

Phase = Literal["select", "final"]

TABLES = ("train", "validation", "test", "after_train")
"""Of a split, each in a file of its own."""

_BETWEEN_USERS = ("global_time", "rolling_time")  # methods that compare times of different users


@dataclass(frozen=True)
class Splits:
    """Coded rows in total order: what is learned from, what chooses, what judges.

    validation, test: rows of the target behaviour whose pair is not in what was learned from before.
    after_train: rows of other behaviours that are known when the test begins, but not when validation
        does.
    drops: rows in none of them, by reason.
    cuts: first moment held out, unix seconds.
    time_safe: no row learned from is later than any row it is judged by.
    method: how they were held out, never "auto".
    validation_method: how validation was, which differs where it is carved from a published train
        file; "given" for a file of its own.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    after_train: pl.DataFrame
    drops: Drops
    cuts: dict[str, int]
    time_safe: bool
    method: str
    validation_method: str = ""

    def rows(self, phase: Phase) -> pl.DataFrame:
        """What may be learned from: "select" before validation, "final" before the test."""
        if phase == "select":
            return self.train
        return in_order(pl.concat([self.train, self.validation, self.after_train]))

    def save(self, folder: Path) -> None:
        """Write train, validation, test and after_train .parquet, and split.json."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            write_table(getattr(self, name), folder / f"{name}.parquet")
        write_json(folder / "split.json", self.document())

    def document(self) -> dict[str, Any]:
        """What was done, as JSON."""
        rows = {name: len(getattr(self, name)) for name in TABLES}
        return split_document(
            self.method, self.validation_method, self.cuts, self.time_safe, self.drops, rows
        )


def split_document(
    method: str,
    validation_method: str,
    cuts: dict[str, int],
    time_safe: bool,
    drops: Drops,
    rows: dict[str, int],
) -> dict[str, Any]:
    """What was done, as JSON. Arguments as the fields of `Splits`; rows: of each of its tables."""
    return {
        "method": method,
        "validation_method": validation_method,
        "time_safe": time_safe,
        "cuts": cuts,
        "drops": facts(drops),
        "rows": rows,
    }


def write_table(rows: pl.DataFrame, path: Path) -> None:
    """One of the tables of a split. How a table is cut into chunks would show in the file."""
    rows.rechunk().write_parquet(path)


def load(folder: Path) -> Splits:
    """The splits that were saved in `folder`."""
    document = read_json(folder / "split.json")
    return Splits(
        train=read_parquet(folder / "train.parquet"),
        validation=read_parquet(folder / "validation.parquet"),
        test=read_parquet(folder / "test.parquet"),
        after_train=read_parquet(folder / "after_train.parquet"),
        drops=Drops(document["drops"]),
        cuts=document["cuts"],
        time_safe=document["time_safe"],
        method=document["method"],
        validation_method=document.get("validation_method", document["method"]),
    )


def split_log(
    log: CodedLog, config: SplitConfig, target: str, seed: int, task: Task = "any"
) -> Splits:
    """Hold out rows of the behaviour `target` as `config` says; a fixed seed fixes every draw.

    Cuts are counted in target rows. Rows of other behaviours are learned from only as far as they
    were known: not after the cut (by time), not after the held-out row of the same pair (per user).
    A user's first row never leaves train in the methods per user.

    Args:
        log: All rows.
        config: The method and its shares.
        target: The behaviour that is predicted.
        seed: Of random draws.
        task: "new" asks for items that their user has not met: what is held out per user is held out
            whole, with the rows of other behaviours of its pairs.

    Raises:
        DataError: The log cannot be split so.
        UsageError: The method does not fit the data.
    """
    rows = log.rows.collect()
    is_target = target_rows(rows, log.behaviors, target)
    method = method_of(config, log)
    if method == "given":
        placed = place_published(rows, is_target, config, log, seed, task)
    else:
        sizes = _sizes(rows, is_target, log)
        cuts = plan_cuts(sizes, config, method)
        placed = place_rows(rows, is_target, config, method, cuts, log.users, log.items, seed, task)
    splits = assemble(placed, method, target)
    require_both(method, len(splits.train), len(splits.test), splits.drops)
    return splits


class TargetRows(NamedTuple):
    """What a split by time or by user asks of all rows of the target behaviour.

    moments: their times; None where they have none.
    most_of_a_user: how many the user has who has most.
    """

    moments: Moments | None
    most_of_a_user: int


def plan_cuts(rows: TargetRows, config: SplitConfig, method: str) -> dict[str, int]:
    """First moments held out, by name; none for the methods per user.

    Raises DataError when too little would be held out, or left.
    """
    if method not in _BETWEEN_USERS:
        if rows.most_of_a_user <= 1:
            raise DataError(
                f"split.method = {method!r} leaves 0 test rows: every user has a single row",
                "Map --user-col to a column that names people, not visits or orders",
            )
        return {}
    if rows.moments is None:
        raise DataError(f"split.method = {method!r} needs times", "Map --time-col")
    end = None
    if method == "rolling_time":
        test_cut, end = _window(rows.moments, config)
    else:
        test_cut = cut_moment(rows.moments, config.test_share)
    cuts: dict[str, int] = {}
    if config.validation_share:
        cuts["validation"] = cut_moment(rows.moments, config.validation_share, before=test_cut)
    cuts["test"] = test_cut
    if end is not None:
        cuts["end"] = end
    return cuts


def place_rows(
    rows: pl.DataFrame,
    target: BoolArray,
    config: SplitConfig,
    method: str,
    cuts: dict[str, int],
    users: IdMap,
    items: IdMap,
    seed: int,
    task: Task,
) -> PlacedRows:
    """The part that each row goes to: of all rows, or of all rows of some users.

    Args:
        rows: Coded.
        target: (n,) whether a row is of the target behaviour.
        config: Shares and counts.
        method: Of a split, neither "auto" nor "given".
        cuts: What `plan_cuts` gives for all rows.
        users, items: Ids of the log.
        seed: Of random draws.
        task: As in `split_log`.
    """
    if method in _BETWEEN_USERS:
        return _by_time(rows, target, cuts)
    return _per_user(rows, target, config, method, users, items, seed, task)


def held_out_later(log: CodedLog, config: SplitConfig) -> bool:
    """Whether rows are held out by time: after all that is learned from, or after what their user
    did before.
    """
    return _is_held_out(log, config, published_later)


def held_out_last(log: CodedLog, config: SplitConfig) -> bool:
    """Whether rows are held out from the ends of histories: what is asked is what comes next."""
    return _is_held_out(log, config, published_last)


def _is_held_out(
    log: CodedLog, config: SplitConfig, published: Callable[[CodedLog, SplitConfig], bool]
) -> bool:
    """By an order that the log has: as `published` says of given files, else unless at random."""
    if not log.has_order:
        return False
    method = method_of(config, log)
    if method == "given":
        return published(log, config)
    return method != "random"


def folds(log: CodedLog, config: SplitConfig, target: str, seed: int) -> list[Splits]:
    """All folds of "rolling_time", the earliest first."""
    splits = []
    for fold in range(config.folds):
        settings = config.model_copy(update={"method": "rolling_time", "fold": fold})
        splits.append(split_log(log, settings, target, seed))
    return splits


def method_of(config: SplitConfig, log: CodedLog) -> str:
    """The method of a split, never "auto". Raises UsageError and DataError for one that does not
    fit the log.
    """
    columns = log.rows.collect_schema().names()
    if SPLIT in columns or config.method == "given":
        if SPLIT not in columns or config.method not in ("auto", "given"):
            raise UsageError(
                f"split.method = {config.method!r} does not fit the data",
                'data.train and data.test go with "given" (or "auto"), data.log with the other methods',
            )
        return "given"
    if config.validation_method != "auto":
        raise UsageError(
            f"split.validation_method = {config.validation_method!r} is for published files",
            "Leave it out: validation is held out of data.log by split.method, as the test is",
        )
    if config.method == "auto":
        return _automatic_method(log)
    if config.method in _BETWEEN_USERS and log.has_order and not log.has_clock:
        raise DataError(
            f"split.method = {config.method!r} needs moments, and the log has an order and no clock: "
            "numbers of different users cannot be compared",
            'Set split.method = "leave_last" or "last_share"',
        )
    if config.method != "random" and not log.has_order:
        raise DataError(
            f"split.method = {config.method!r} needs times",
            'Map --time-col, or set split.method = "random"',
        )
    return config.method


def _automatic_method(log: CodedLog) -> str:
    if log.has_clock:
        return "global_time"
    # Numbers of an order say nothing between users.
    return "leave_last" if log.has_order else "random"


def _sizes(rows: pl.DataFrame, is_target: BoolArray, log: CodedLog) -> TargetRows:
    rows_of_user = np.bincount(rows[USER].to_numpy()[is_target])
    moments = MomentsInMemory(rows[TIME].to_numpy()[is_target]) if log.has_order else None
    return TargetRows(moments, int(rows_of_user.max(initial=0)))


def target_rows(rows: pl.DataFrame, behaviors: Sequence[str], target: str) -> BoolArray:
    """(n,) whether rows are of the target behaviour. Raises UsageError when a log has no such."""
    if target not in behaviors:
        raise UsageError(
            f"the log has no behavior {target!r}; it has {list(behaviors)}",
            nearest(target, behaviors),
        )
    if BEHAVIOR not in rows.columns:
        return np.ones(len(rows), bool)
    return (rows[BEHAVIOR] == target).to_numpy()


def _by_time(rows: pl.DataFrame, target: BoolArray, cuts: dict[str, int]) -> PlacedRows:
    time = rows[TIME].to_numpy()
    inside = np.ones(len(rows), bool)
    if "end" in cuts:
        inside = time < cuts["end"]
    codes = place_by_moments(time, target, cuts.get("validation"), cuts["test"])
    # What lies after the window is counted under one reason, not under both.
    num_after = int((~inside).sum())
    num_dropped = int((codes[inside] == DROPPED).sum())
    drops = Drops({AFTER_FOLD: num_after, OTHER_LATE: num_dropped})
    return PlacedRows(rows.filter(pl.Series(inside)), codes[inside], True, cuts, drops)


def _window(times: Moments, config: SplitConfig) -> tuple[int, int | None]:
    """First moment of the fold's window and the first one after it: windows of `test_share`, back
    from the end.
    """
    fold = config.fold if config.fold >= 0 else config.folds + config.fold
    if not 0 <= fold < config.folds or config.folds * config.test_share >= 1:
        raise UsageError(
            f"fold {config.fold} of {config.folds} with {config.test_share:.0%} of the rows each does not exist",
            "Folds count from 0 (−1 is the latest), and all windows together must be less than the log",
        )
    # The latest window is one share from the end, the one before it two.
    back = config.folds - fold
    start = cut_moment(times, back * config.test_share)
    if back == 1:
        return start, None
    return start, cut_moment(times, (back - 1) * config.test_share)


def _per_user(
    rows: pl.DataFrame,
    target: BoolArray,
    config: SplitConfig,
    method: str,
    users: IdMap,
    items: IdMap,
    seed: int,
    task: Task,
) -> PlacedRows:
    of_target = rows.filter(pl.Series(target))
    if method == "random":
        order = order_by_hash(of_target, users, items, seed)
    else:
        order = order_by_time(of_target)
    if method == "leave_last":
        test = count_of(config.last)
        validation = count_of(config.last if config.validation_share else 0)
    else:
        test = share_of(config.test_share)
        validation = share_of(config.validation_share)
    codes = np.full(len(rows), TRAIN, np.int8)
    codes[target] = place_ends(of_target[USER].to_numpy(), order, test, validation)
    codes = place_others(rows, target, codes, task)
    num_dropped = int((codes == DROPPED).sum())
    reason = OTHER_OF_PAIR if task == "new" else OTHER_LATE
    return PlacedRows(rows, codes, False, {}, Drops({reason: num_dropped}))


def assemble(placed: PlacedRows, method: str, target: str) -> Splits:
    """The parts as tables, without held-out pairs that are known from before."""
    train = _rows_of(placed, TRAIN)
    # In this order: the test is compared with the validation rows that stayed.
    validation, known_validation = _without_known(_rows_of(placed, VALIDATION), [train], target)
    test, known_test = _without_known(_rows_of(placed, TEST), [train, validation], target)
    counts = {
        KNOWN_VALIDATION: known_validation,
        KNOWN_TEST: known_test,
    }
    drops = +(placed.drops + Drops(counts))
    return Splits(
        train=train,
        validation=validation,
        test=test,
        after_train=_rows_of(placed, LATER),
        drops=drops,
        cuts=placed.cuts,
        time_safe=placed.time_safe,
        method=method,
        validation_method=placed.validation_method or method,
    )


def require_both(method: str, num_train: int, num_test: int, drops: Drops) -> None:
    """Raises DataError when there is nothing to learn from, or nothing to be judged by."""
    if num_train and num_test:
        return
    known = drops[KNOWN_TEST]
    remedy = "Give it more rows, or hold out another share (split.test_share)"
    if known and method == "given":
        remedy = f"All {known:,} rows held out repeat pairs of train: is it the same file twice?"
    raise DataError(
        f"split.method = {method!r} leaves {num_train:,} train and {num_test:,} test rows", remedy
    )


def _rows_of(placed: PlacedRows, code: int) -> pl.DataFrame:
    return in_order(placed.rows.filter(pl.Series(placed.codes == code)))


def _without_known(
    held_out: pl.DataFrame, learned: list[pl.DataFrame], target: str
) -> tuple[pl.DataFrame, int]:
    """Held-out rows whose pair is not among the target rows learned from, and how many that took."""
    pairs = pl.concat(learned)
    if BEHAVIOR in pairs.columns:
        pairs = pairs.filter(pl.col(BEHAVIOR) == target)
    fresh = held_out.join(pairs, on=[USER, ITEM], how="anti", maintain_order="left")
    return fresh, len(held_out) - len(fresh)

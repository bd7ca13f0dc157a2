"""Published splits: files that say what is learned from and what is held out."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray, Int64Array
from recsys.core.config import SplitConfig, Task
from recsys.core.errors import DataError, UsageError
from recsys.core.tables import BEHAVIOR, SPLIT, TIME, USER, Drops
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
from recsys.logs.time_cut import (
    TEST,
    TRAIN,
    VALIDATION,
    MomentsInMemory,
    cut_moment,
    place_by_moments,
)

OTHER_HELD = "other behavior in a held-out file"
_TOO_COARSE = (
    'Times are too coarse for this share: set split.validation_method = "random", '
    "or another split.validation_share"
)

_FROM_THE_END = ("global_time", "leave_last", "last_share")
_NEARLY_ALL = 0.9


class Carved(NamedTuple):
    """Validation taken from published train rows.

    codes: (n,) part of each train row.
    cuts: first moment of validation, by name; empty unless all rows are cut at one moment.
    """

    codes: NDArray[np.int8]
    cuts: dict[str, int]


def published_later(log: CodedLog, config: SplitConfig) -> bool:
    """Whether what is held out comes later than what is learned from: the rows of published files
    by their times, and validation as it is carved.
    """
    if not log.has_clock or log.parts_without_times:
        return False
    if config.validation_method not in ("auto", "global_time"):
        return False
    rows = log.rows.select(TIME, SPLIT).collect()
    return _in_time(rows, _places(rows))


def published_last(log: CodedLog, config: SplitConfig) -> bool:
    """Whether what is held out stands behind what its user did before.

    Where the test has no times, validation, by which all is chosen, speaks for it: whether it is
    carved from the ends of histories. Else nearly all held-out rows must be no earlier than the last
    train row of their user.
    """
    rows = log.rows.select(USER, TIME, SPLIT).collect()
    if log.parts_without_times:
        has_file = bool((rows[SPLIT] == "validation").any())
        return _validation_method(config, log, has_file) in _FROM_THE_END
    is_train = pl.col(SPLIT) == "train"
    last_trained = pl.col(TIME).filter(is_train).max().over(USER)
    held_out = rows.with_columns(last_trained.alias("last")).filter(~is_train)
    is_later = held_out.select(pl.col(TIME) >= pl.col("last")).to_series()
    # Users without a train row say nothing.
    is_later = is_later.drop_nulls()
    return len(is_later) > 0 and bool(is_later.to_numpy().mean() >= _NEARLY_ALL)


def place_published(
    rows: pl.DataFrame,
    target: BoolArray,
    config: SplitConfig,
    log: CodedLog,
    seed: int,
    task: Task = "any",
) -> PlacedRows:
    """Train, validation and test as the files say; validation carved from train where no file is it.

    Args:
        rows: Coded, with SPLIT.
        target: (n,) whether a row is of the target behaviour.
        config: How validation is carved.
        log: Where the rows are from.
        seed: Of random draws.
        task: "new" takes the other rows of a carved pair out of what is learned from, too.
    """
    codes = _places(rows)
    _require_target(rows, target & (codes == TRAIN))
    # Rows of other behaviours in a held-out file are neither learned from nor judged by.
    is_other = (codes != TRAIN) & ~target
    cuts: dict[str, int] = {}
    has_file = bool((codes == VALIDATION).any())
    method = _validation_method(config, log, has_file)
    if config.validation_share and not has_file:
        in_train = codes == TRAIN
        train = rows.filter(pl.Series(in_train))
        codes[in_train], cuts = _carve(train, target[in_train], config, method, log, seed, task)
    drops = Drops({OTHER_HELD: int(is_other.sum())})
    remaining = rows.drop(SPLIT).filter(pl.Series(~is_other))
    codes = codes[~is_other]
    knows_times = log.has_clock and not log.parts_without_times
    time_safe = knows_times and _in_time(remaining, codes)
    return PlacedRows(remaining, codes, time_safe, cuts, drops, method)


def _validation_method(config: SplitConfig, log: CodedLog, has_file: bool) -> str:
    """How validation is held out, never "auto". Raises UsageError and DataError for a method that
    does not fit the files.
    """
    method = config.validation_method
    if has_file:
        if method != "auto":
            raise UsageError(
                f"split.validation_method = {method!r} carves validation from train, "
                "and data.validation is given",
                "Leave one of the two out",
            )
        return "given"
    if method == "auto":
        return _automatic_method(log)
    if method == "global_time" and not log.has_clock:
        raise DataError(
            'split.validation_method = "global_time" needs moments in data.train',
            'Set split.validation_method = "auto"',
        )
    if method != "random" and not log.has_order:
        raise DataError(
            f"split.validation_method = {method!r} needs times or an order in data.train",
            'Map --time-col, or set split.validation_method = "random"',
        )
    return method


def _automatic_method(log: CodedLog) -> str:
    if log.has_clock and not log.parts_without_times:
        return "global_time"
    # Without times in the test nothing says that it is later than all of train.
    return "last_share" if log.has_order else "random"


def _places(rows: pl.DataFrame) -> NDArray[np.int8]:
    codes = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    return rows[SPLIT].replace_strict(codes, return_dtype=pl.Int8).to_numpy().copy()


def _require_target(rows: pl.DataFrame, learned: BoolArray) -> None:
    """Raises DataError where no row of train is of the target behaviour: none of `learned` (n,)."""
    if learned.any() or BEHAVIOR not in rows.columns:
        return
    behaviors = rows.filter(pl.col(SPLIT) == "train")[BEHAVIOR].unique().sort().to_list()
    raise DataError(
        "no row of data.train is of the target behaviour (graph.target)",
        f"Set graph.target to one of {behaviors}",
    )


def _carve(
    train: pl.DataFrame,
    target: BoolArray,
    config: SplitConfig,
    method: str,
    log: CodedLog,
    seed: int,
    task: Task,
) -> Carved:
    """Validation out of published train rows."""
    if method == "global_time":
        time = train[TIME].to_numpy()
        times = MomentsInMemory(time[target])
        cut = cut_moment(times, config.validation_share, _TOO_COARSE)
        # No second cut: the test has files of its own.
        after_all = int(time.max()) + 1
        return Carved(place_by_moments(time, target, cut, after_all), {"validation": cut})
    target_rows = train.filter(pl.Series(target))
    user = target_rows[USER].to_numpy()
    order = _order(target_rows, method, log, seed)
    count = share_of(config.validation_share)
    if method == "leave_last":
        count = count_of(config.last)
    codes = np.full(len(train), TRAIN, np.int8)
    codes[target] = place_ends(user, order, test=share_of(0), validation=count)
    return Carved(place_others(train, target, codes, task), {})


def _order(rows: pl.DataFrame, method: str, log: CodedLog, seed: int) -> Int64Array:
    if method == "random":
        return order_by_hash(rows, log.users, log.items, seed)
    return order_by_time(rows)


def _in_time(rows: pl.DataFrame, codes: NDArray[np.int8]) -> bool:
    """Whether train ends before validation begins, and validation before the test."""
    time = rows[TIME].to_numpy()
    stretches = []
    for code in (TRAIN, VALIDATION, TEST):
        times = time[codes == code]
        if len(times):
            stretches.append(times)
    return all(early.max() <= late.min() for early, late in pairwise(stretches))

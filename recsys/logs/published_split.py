"""Published splits: files that say what is learned from and what is held out."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray
from recsys.core.config import SplitConfig
from recsys.core.tables import SPLIT, TIME, USER, Drops
from recsys.logs.ingest import CodedLog
from recsys.logs.per_user import order_by_hash, order_by_time, place_ends, place_others, share_of
from recsys.logs.placed_rows import PlacedRows
from recsys.logs.time_cut import TEST, TRAIN, VALIDATION, cut_moment, place_by_moments

OTHER_HELD = "other behavior in a held-out file"


def published_in_time(log: CodedLog) -> bool:
    """Whether the rows that published files hold out come later than those of train."""
    if not log.has_clock:
        return False
    rows = log.rows.select(TIME, SPLIT).collect()
    return _in_time(rows, _places(rows))


def place_published(
    rows: pl.DataFrame, target: BoolArray, config: SplitConfig, log: CodedLog, seed: int
) -> PlacedRows:
    """Train, validation and test as the files say; validation carved from train where no file is it."""
    codes = _places(rows)
    is_other = (codes != TRAIN) & ~target
    cuts: dict[str, int] = {}
    if config.validation_share and VALIDATION not in codes:
        in_train = codes == TRAIN
        train = rows.filter(pl.Series(in_train))
        codes[in_train], cuts = _carve(train, target[in_train], config, log, seed)
    drops = Drops({OTHER_HELD: int(is_other.sum())})
    remaining = rows.drop(SPLIT).filter(pl.Series(~is_other))
    codes = codes[~is_other]
    time_safe = log.has_clock and _in_time(remaining, codes)
    return PlacedRows(remaining, codes, time_safe, cuts, drops)


def _places(rows: pl.DataFrame) -> NDArray[np.int8]:
    codes = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    return rows[SPLIT].replace_strict(codes, return_dtype=pl.Int8).to_numpy().copy()


def _carve(
    train: pl.DataFrame, target: BoolArray, config: SplitConfig, log: CodedLog, seed: int
) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Validation out of published train rows: the latest of all by a clock, each user's latest by
    an order, else random ones per user.
    """
    if log.has_clock:
        time = train[TIME].to_numpy()
        cut = cut_moment(time[target], config.validation_share)
        return place_by_moments(time, target, cut, int(time.max()) + 1), {"validation": cut}
    target_rows = train.filter(pl.Series(target))
    if log.has_order:
        order = order_by_time(target_rows)
    else:
        order = order_by_hash(target_rows, log.users, log.items, seed)
    user = target_rows[USER].to_numpy()
    codes = np.full(len(train), TRAIN, np.int8)
    codes[target] = place_ends(user, order, share_of(0), share_of(config.validation_share))
    if log.has_order:
        codes = place_others(train, target, codes)
    return codes, {}


def _in_time(rows: pl.DataFrame, codes: NDArray[np.int8]) -> bool:
    """Whether train ends before validation begins, and validation before the test."""
    time = rows[TIME].to_numpy()
    stretches = []
    for code in (TRAIN, VALIDATION, TEST):
        times = time[codes == code]
        if len(times):
            stretches.append(times)
    return all(early.max() <= late.min() for early, late in pairwise(stretches))

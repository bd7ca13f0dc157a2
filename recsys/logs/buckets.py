"""What happens to the rows of one bucket after another: cleaned, filtered to the k-core, written in
total order.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Int32Array, Int64Array
from recsys.core.config import CleanConfig
from recsys.core.progress import Progress
from recsys.core.table_files import read_arrow
from recsys.core.tables import BEHAVIOR, CODED_ORDER, ITEM, SPLIT, TIME, USER, Drops
from recsys.logs.clean import cap_activity, drop_duplicates
from recsys.logs.core_filter import Core, Pairs, fixed_point
from recsys.logs.exchange import Exchanged
from recsys.logs.packing import sort_rows
from recsys.logs.published_columns import fill_times

SINGLE_BEHAVIOR = "interaction"


@dataclass
class Written:
    """What the written rows hold.

    behaviors: rows by behaviour.
    first_time, last_time: unix seconds, or numbers of an order; None without a time column.
    order_repeats: rows whose time is that of the user's row before.
    """

    behaviors: Counter[str] = field(default_factory=Counter)
    first_time: int | None = None
    last_time: int | None = None
    order_repeats: int = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Count some rows; those of a user are together, in total order."""
        if BEHAVIOR in rows.columns:
            counts = rows[BEHAVIOR].value_counts()
            for behavior, count in counts.iter_rows():
                self.behaviors[behavior] += count
        else:
            self.behaviors[SINGLE_BEHAVIOR] += len(rows)
        if TIME in rows.columns:
            self._add_times(rows[TIME].to_numpy())
            is_repeat = (rows[USER] == rows[USER].shift()) & (rows[TIME] == rows[TIME].shift())
            self.order_repeats += int(is_repeat.sum())

    def _add_times(self, times: Int64Array) -> None:
        first = int(times.min())
        last = int(times.max())
        if self.first_time is not None:
            first = min(first, self.first_time)
        if self.last_time is not None:
            last = max(last, self.last_time)
        self.first_time = first
        self.last_time = last


def collapse(
    exchanged: Exchanged, clean: CleanConfig, folder: Path, progress: Progress
) -> tuple[list[Path], Drops]:
    """Duplicates and activity cap, bucket by bucket; returns the files of cleaned rows, each in
    total order.
    """
    folder.mkdir(parents=True)
    files = []
    drops = Drops()
    for bucket in progress.track(range(exchanged.buckets), "cleaning", exchanged.buckets):
        rows = exchanged.take(bucket)
        if rows.is_empty():
            continue
        rows = fill_times(rows, exchanged.last_time)
        rows, repeated = drop_duplicates(rows, clean.duplicates)
        rows, capped = cap_activity(rows, clean.max_user_interactions)
        drops += repeated + capped

        order = [column for column in (*CODED_ORDER, SPLIT) if column in rows.columns]
        file = folder / f"bucket-{bucket:05d}.arrow"
        sort_rows(rows, order).write_ipc(file)
        files.append(file)
    return files, drops


def find_core(files: list[Path], exchanged: Exchanged, clean: CleanConfig) -> Core:
    """Users and items of the k-core over the cleaned rows."""
    return fixed_point(
        [partial(_user_and_item, file) for file in files],
        num_users=len(exchanged.users),
        num_items=len(exchanged.items),
        min_user=clean.min_user_interactions,
        min_item=clean.min_item_interactions,
    )


def write_rows(
    files: list[Path], exchanged: Exchanged, core: Core, folder: Path, progress: Progress
) -> Written:
    """Rows of the core with their final codes, as part-NNNN.parquet: one part a bucket that has
    rows left.
    """
    folder.mkdir()
    written = Written()
    number = 0
    new_codes = {USER: _new_codes(core.users), ITEM: _new_codes(core.items)}
    for file in progress.track(files, "writing", len(files)):
        rows = read_arrow(file)
        in_core = core.users[rows[USER].to_numpy()] & core.items[rows[ITEM].to_numpy()]
        rows = rows.filter(pl.Series(in_core))
        if rows.is_empty():
            continue
        rows = _final(rows, new_codes, exchanged.behaviors)
        written.add(rows)
        path = folder / f"part-{number:04d}.parquet"
        rows.write_parquet(path, compression="zstd", compression_level=1)
        number += 1
    return written


def _user_and_item(file: Path) -> Pairs:
    rows = read_arrow(file, columns=[USER, ITEM])
    return rows[USER].to_numpy(), rows[ITEM].to_numpy()


def _new_codes(in_core: BoolArray) -> Int32Array:
    """The new code of each old one in the core."""
    return np.cumsum(in_core, dtype=np.int32) - 1


def _final(
    rows: pl.DataFrame, new_codes: dict[str, Int32Array], behaviors: pl.Series
) -> pl.DataFrame:
    """Rows with their final codes, and behaviours by name."""
    for column, codes in new_codes.items():
        recoded = codes[rows[column].to_numpy()]
        rows = rows.with_columns(pl.Series(column, recoded))
    if BEHAVIOR in rows.columns:
        names = behaviors.gather(rows[BEHAVIOR])
        rows = rows.with_columns(names.alias(BEHAVIOR))
    return rows

"""What happens to the rows of one bucket after another: cleaned, filtered to the k-core, written in
total order.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Int32Array
from recsys.core.config import CleanConfig
from recsys.core.progress import Progress
from recsys.core.table_files import read_arrow
from recsys.core.tables import BEHAVIOR, CODED_ORDER, ITEM, SPLIT, TIME, USER, Drops
from recsys.logs.clean import cap_activity, drop_duplicates
from recsys.logs.core_filter import Core, Pairs, fixed_point
from recsys.logs.exchange import Exchanged
from recsys.logs.packing import sort_rows

SINGLE_BEHAVIOR = "interaction"


@dataclass
class Written:
    """What the written rows hold. behaviors: rows by behaviour. Times are unix seconds, None
    without a time column.
    """

    behaviors: Counter[str] = field(default_factory=Counter)
    first_time: int | None = None
    last_time: int | None = None

    def add(self, rows: pl.DataFrame) -> None:
        if BEHAVIOR in rows.columns:
            counts = rows[BEHAVIOR].value_counts()
            self.behaviors += Counter(
                dict(zip(counts[BEHAVIOR].to_list(), counts["count"].to_list(), strict=True))
            )
        else:
            self.behaviors[SINGLE_BEHAVIOR] += len(rows)
        if TIME in rows.columns:
            times = [int(rows[TIME].min()), int(rows[TIME].max())]  # type: ignore[arg-type]
            times += [time for time in (self.first_time, self.last_time) if time is not None]
            self.first_time, self.last_time = min(times), max(times)


def collapse(
    exchanged: Exchanged, clean: CleanConfig, folder: Path, progress: Progress
) -> tuple[list[Path], Drops]:
    """Duplicates and activity cap, bucket by bucket; returns the files of cleaned rows, each in
    total order.
    """
    folder.mkdir(parents=True)
    files, drops = [], Drops()
    for bucket in progress.track(range(exchanged.buckets), "cleaning", exchanged.buckets):
        rows = exchanged.take(bucket)
        if not len(rows):
            continue
        rows, repeated = drop_duplicates(rows, clean.duplicates)
        rows, capped = cap_activity(rows, clean.max_user_interactions)
        drops += repeated + capped
        files.append(folder / f"bucket-{bucket:05d}.arrow")
        sort_rows(
            rows, [column for column in (*CODED_ORDER, SPLIT) if column in rows.columns]
        ).write_ipc(files[-1])
    return files, drops


def find_core(files: list[Path], exchanged: Exchanged, clean: CleanConfig) -> Core:
    """Users and items of the k-core over the cleaned rows."""
    minima = clean.min_user_interactions, clean.min_item_interactions
    return fixed_point(
        [_loader(file) for file in files], len(exchanged.users), len(exchanged.items), *minima
    )


def write_rows(
    files: list[Path], exchanged: Exchanged, core: Core, folder: Path, progress: Progress
) -> Written:
    """Rows of the core with their final codes, as part-NNNN.parquet: one part a bucket that has
    rows left.
    """
    folder.mkdir()
    written, number = Written(), 0
    places = {USER: _new_places(core.users), ITEM: _new_places(core.items)}
    for file in progress.track(files, "writing", len(files)):
        rows = read_arrow(file)
        kept = core.users[rows[USER].to_numpy()] & core.items[rows[ITEM].to_numpy()]
        rows = rows.filter(pl.Series(kept))
        if len(rows):
            rows = _final(rows, places, exchanged.behaviors)
            written.add(rows)
            rows.write_parquet(
                folder / f"part-{number:04d}.parquet", compression="zstd", compression_level=1
            )
            number += 1
    return written


def _loader(file: Path) -> Callable[[], Pairs]:
    def load() -> Pairs:
        rows = read_arrow(file, columns=[USER, ITEM])
        return rows[USER].to_numpy(), rows[ITEM].to_numpy()

    return load


def _new_places(kept: BoolArray) -> Int32Array:
    """Place of each old code among the kept ones."""
    return np.cumsum(kept, dtype=np.int32) - 1


def _final(rows: pl.DataFrame, places: dict[str, Int32Array], behaviors: pl.Series) -> pl.DataFrame:
    rows = rows.with_columns(
        pl.Series(column, place[rows[column].to_numpy()]) for column, place in places.items()
    )
    if BEHAVIOR in rows.columns:
        rows = rows.with_columns(behaviors.gather(rows[BEHAVIOR]).alias(BEHAVIOR))
    return rows

"""From strings to codes, and from files to buckets of users: the two steps after which memory
depends on a bucket.

First every row is written down with provisional codes (order of appearance); then, all ids being
known, codes become places in ascending text order and the rows go to buckets, each a range of
users.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import Int32Array, Int64Array
from recsys.core.table_files import read_arrow
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, SPLIT, TIME, USER, USER_ID, WEIGHT, Drops
from recsys.logs.reasons import KEPT, REASON, count_reasons

BATCH_ROWS = 1_000_000


class Encoder:
    """Provisional Int32 codes of strings, in order of appearance, kept for one column over many
    batches.
    """

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        self._type = pl.Categorical(self._categories)
        # Polars forgets the codes of categories that no column uses any more.
        self._anchor = pl.Series([], dtype=self._type)

    def encode(self, text: pl.Expr) -> pl.Expr:
        return text.cast(self._type).to_physical().cast(pl.Int32)

    def ids(self) -> pl.Series:
        """The strings by code."""
        return self._categories.to_series().alias("id")


@dataclass
class Spill:
    """Rows written down with provisional codes.

    counts: kept rows by provisional user code.
    last_time: the largest time of them; None without any.
    """

    folder: Path
    users: Encoder = field(default_factory=Encoder)
    items: Encoder = field(default_factory=Encoder)
    behaviors: Encoder = field(default_factory=Encoder)
    counts: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    files: list[Path] = field(default_factory=list)
    rows_read: int = 0
    last_time: int | None = None
    drops: Drops = field(default_factory=Drops)

    def add(self, marked: pl.DataFrame, split: str | None = None) -> None:
        """Write down the kept rows of a batch; count the others."""
        self.rows_read += len(marked)
        self.drops += count_reasons(marked[REASON])
        unbroken = marked.filter(pl.col(REASON) == KEPT)
        if unbroken.is_empty():
            return
        rows = unbroken.select(self._coded(marked.columns, split))
        self._count(rows[USER].to_numpy())
        self._look_at_times(rows)
        path = self.folder / f"batch-{len(self.files):06d}.arrow"
        rows.write_ipc(path)
        self.files.append(path)

    def _coded(self, columns: list[str], split: str | None) -> list[pl.Expr]:
        coded = [
            self.users.encode(pl.col(USER_ID)).alias(USER),
            self.items.encode(pl.col(ITEM_ID)).alias(ITEM),
        ]
        if BEHAVIOR in columns:
            coded.append(self.behaviors.encode(pl.col(BEHAVIOR)))
        for column in (TIME, WEIGHT):
            if column in columns:
                coded.append(pl.col(column))
        if split is not None:
            coded.append(pl.lit(split).alias(SPLIT))
        return coded

    def _look_at_times(self, rows: pl.DataFrame) -> None:
        if TIME not in rows.columns or rows[TIME].null_count() == len(rows):
            return
        last = int(rows.select(pl.col(TIME).max()).item())
        self.last_time = last if self.last_time is None else max(last, self.last_time)

    def _count(self, user: Int32Array) -> None:
        counts = np.bincount(user, minlength=len(self.counts))
        counts[: len(self.counts)] += self.counts
        self.counts = counts


@dataclass(frozen=True)
class Exchanged:
    """Rows by bucket, coded by place in `users`, `items`, `behaviors` (ids in ascending text
    order). last_time: the largest time; None without any.
    """

    folder: Path
    buckets: int
    users: pl.Series
    items: pl.Series
    behaviors: pl.Series
    last_time: int | None = None

    def take(self, bucket: int) -> pl.DataFrame:
        """The rows of one bucket in the order of the log, once: their files are removed."""
        folder = _bucket_folder(self.folder, bucket)
        files = sorted(folder.glob("*.arrow"))
        if not files:
            return pl.DataFrame()
        rows = pl.concat([read_arrow(file) for file in files])
        for file in files:
            file.unlink()
        return rows


def exchange(spill: Spill, folder: Path, buckets: int) -> Exchanged:
    """Give the rows of a spill their final order of codes and put them into `buckets` ranges of
    users.

    Ranges hold about as many rows each. The files of the spill are removed on the way.
    """
    users, final_user = _in_text_order(spill.users.ids())
    items, final_item = _in_text_order(spill.items.ids())
    behaviors, final_behavior = _in_text_order(spill.behaviors.ids())
    final_codes = {USER: final_user, ITEM: final_item, BEHAVIOR: final_behavior}
    bucket_of_user = _ranges(spill.counts, final_user, buckets)
    for number, file in enumerate(spill.files):
        rows = read_arrow(file)
        file.unlink()
        for column, codes in final_codes.items():
            if column in rows.columns:
                recoded = codes[rows[column].to_numpy()]
                rows = rows.with_columns(pl.Series(column, recoded))
        for bucket, rows_of_bucket in _by_bucket(rows, bucket_of_user):
            bucket_folder = _bucket_folder(folder, bucket)
            bucket_folder.mkdir(parents=True, exist_ok=True)
            rows_of_bucket.write_ipc(bucket_folder / f"batch-{number:06d}.arrow")
    return Exchanged(folder, buckets, users, items, behaviors, spill.last_time)


def _in_text_order(ids: pl.Series) -> tuple[pl.Series, Int32Array]:
    """Ids in ascending text order, and the final code there of each provisional one."""
    order = ids.arg_sort()
    final_codes = np.empty(len(ids), np.int32)
    final_codes[order.to_numpy()] = np.arange(len(ids), dtype=np.int32)
    return ids.gather(order), final_codes


def _ranges(counts: Int64Array, final_user: Int32Array, buckets: int) -> NDArray[np.int16]:
    """Bucket of each final user code: ranges with about the same number of rows."""
    rows_of_user = np.zeros(len(final_user), np.int64)
    rows_of_user[final_user[: len(counts)]] = counts
    rows_before = np.cumsum(rows_of_user) - rows_of_user
    num_rows = max(int(rows_of_user.sum()), 1)
    bucket: Int64Array = rows_before * buckets // num_rows
    return bucket.clip(max=buckets - 1).astype(np.int16)


def _by_bucket(
    rows: pl.DataFrame, bucket_of_user: NDArray[np.int16]
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of each bucket that has any, in their order."""
    buckets = bucket_of_user[rows[USER].to_numpy()]
    with_bucket = rows.with_columns(pl.Series("_bucket", buckets))
    tables = with_bucket.partition_by(
        "_bucket", maintain_order=True, as_dict=True, include_key=False
    )
    for (bucket,), table in tables.items():
        yield int(bucket), table


def _bucket_folder(folder: Path, bucket: int) -> Path:
    return folder / f"bucket-{bucket:05d}"

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
_CODED = {USER: USER_ID, ITEM: ITEM_ID, BEHAVIOR: BEHAVIOR}


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
    """Rows written down with provisional codes. counts: kept rows by provisional user code."""

    folder: Path
    users: Encoder = field(default_factory=Encoder)
    items: Encoder = field(default_factory=Encoder)
    behaviors: Encoder = field(default_factory=Encoder)
    counts: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    files: list[Path] = field(default_factory=list)
    rows_read: int = 0
    drops: Drops = field(default_factory=Drops)

    def add(self, marked: pl.DataFrame, split: str | None = None) -> None:
        """Write down the kept rows of a batch; count the others."""
        self.rows_read += len(marked)
        self.drops += count_reasons(marked[REASON])
        rows = marked.filter(pl.col(REASON) == KEPT).select(self._coded(marked.columns, split))
        if not len(rows):
            return
        self._count(rows[USER].to_numpy())
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
        coded += [pl.col(column) for column in (TIME, WEIGHT) if column in columns]
        return coded if split is None else [*coded, pl.lit(split).alias(SPLIT)]

    def _count(self, user: Int32Array) -> None:
        counts = np.bincount(user, minlength=len(self.counts))
        counts[: len(self.counts)] += self.counts
        self.counts = counts


@dataclass(frozen=True)
class Exchanged:
    """Rows by bucket, coded by place in `users`, `items`, `behaviors` (ids in ascending text
    order).
    """

    folder: Path
    buckets: int
    users: pl.Series
    items: pl.Series
    behaviors: pl.Series

    def take(self, bucket: int) -> pl.DataFrame:
        """The rows of one bucket in the order of the log, once: their files are removed."""
        files = sorted(_bucket_folder(self.folder, bucket).glob("*.arrow"))
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
    users, user_place = _places(spill.users.ids())
    items, item_place = _places(spill.items.ids())
    behaviors, behavior_place = _places(spill.behaviors.ids())
    places = {USER: user_place, ITEM: item_place, BEHAVIOR: behavior_place}
    bucket_of = _ranges(spill.counts, user_place, buckets)
    for number, file in enumerate(spill.files):
        rows = read_arrow(file)
        file.unlink()
        rows = rows.with_columns(
            pl.Series(c, places[c][rows[c].to_numpy()]) for c in _CODED if c in rows.columns
        )
        for bucket, part in _partition(rows, bucket_of):
            _bucket_folder(folder, bucket).mkdir(parents=True, exist_ok=True)
            part.write_ipc(_bucket_folder(folder, bucket) / f"batch-{number:06d}.arrow")
    return Exchanged(folder, buckets, users, items, behaviors)


def _places(ids: pl.Series) -> tuple[pl.Series, Int32Array]:
    """Ids in ascending text order, and the place there of each provisional code."""
    order = ids.arg_sort()
    places = np.empty(len(ids), np.int32)
    places[order.to_numpy()] = np.arange(len(ids), dtype=np.int32)
    return ids.gather(order), places


def _ranges(counts: Int64Array, place: Int32Array, buckets: int) -> NDArray[np.int16]:
    """Bucket of each user place: ranges with about the same number of rows."""
    ordered = np.zeros(len(place), np.int64)
    ordered[place[: len(counts)]] = counts
    before = np.cumsum(ordered) - ordered
    bucket: Int64Array = before * buckets // max(int(ordered.sum()), 1)
    return bucket.clip(max=buckets - 1).astype(np.int16)


def _partition(
    rows: pl.DataFrame, bucket_of: NDArray[np.int16]
) -> Iterator[tuple[int, pl.DataFrame]]:
    bucket = pl.Series("_bucket", bucket_of[rows[USER].to_numpy()])
    parts = rows.with_columns(bucket).partition_by(
        "_bucket", maintain_order=True, as_dict=True, include_key=False
    )
    for (number,), part in parts.items():
        yield int(number), part


def _bucket_folder(folder: Path, bucket: int) -> Path:
    return folder / f"bucket-{bucket:05d}"

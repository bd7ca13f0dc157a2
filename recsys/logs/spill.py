"""A piece of the log, written down with provisional codes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from recsys.core.arrays import Int32Array, Int64Array
from recsys.core.steps import Call, Facts, Outcome
from recsys.core.suppression import Suppression
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, SPLIT, TIME, USER, USER_ID, WEIGHT, Drops
from recsys.logs.clean import mark_suppressed
from recsys.logs.read import explained
from recsys.logs.reasons import KEPT, REASON, count_reasons
from recsys.logs.sources import brought

BATCH_ROWS = 1_000_000
BATCH = "batch-"
ID, ROWS = "id", "rows"


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
        return self._categories.to_series().alias(ID)


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
    num_files: int = 0
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
        rows.write_ipc(self.folder / f"{BATCH}{self.num_files:06d}.arrow")
        self.num_files += 1

    def write_ids(self) -> None:
        """USER, ITEM and BEHAVIOR .arrow: the ids by provisional code, with the rows of each user."""
        users = self.users.ids().to_frame()
        counts = np.zeros(len(users), np.int64)
        counts[: len(self.counts)] = self.counts
        users.with_columns(pl.Series(ROWS, counts)).write_ipc(self.folder / ids_file(USER))
        self.items.ids().to_frame().write_ipc(self.folder / ids_file(ITEM))
        self.behaviors.ids().to_frame().write_ipc(self.folder / ids_file(BEHAVIOR))

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
        # New users have codes behind all earlier ones: the counts of before keep their places.
        counts = np.bincount(user, minlength=len(self.counts))
        counts[: len(self.counts)] += self.counts
        self.counts = counts


class Piece(NamedTuple):
    """A stretch of the log. marked: its rows with REASON. split: of a published file. forgotten:
    people whose rows are dropped. urls: whose copies are read, where they may be missing.
    """

    marked: pl.LazyFrame
    split: str | None
    forgotten: tuple[Suppression, ...]
    urls: tuple[str, ...] = ()


class Spilt(NamedTuple):
    """What `spill_piece` says of one piece, or of several together."""

    rows_read: int
    rows_kept: int
    last_time: int | None
    drops: Drops


def spill_piece(call: Call) -> Facts:
    """The step that reads a piece: rules on one row, provisional codes."""
    piece: Piece = call.source
    for url in piece.urls:
        brought(url)
    spill = Spill(call.out)
    for batch in call.progress.track(_batches(piece.marked), "reading"):
        for people in piece.forgotten:
            batch = mark_suppressed(batch, people)
        spill.add(batch, piece.split)
    # At the end, when all codes are given.
    spill.write_ids()
    return {
        "rows_read": spill.rows_read,
        "rows_kept": int(spill.counts.sum()),
        "last_time": spill.last_time,
        "drops": dict(spill.drops),
    }


def together(pieces: Sequence[Outcome]) -> Spilt:
    """What the step says of some pieces."""
    times = []
    drops = Drops()
    for piece in pieces:
        drops += Drops(piece.facts["drops"])
        if piece.facts["last_time"] is not None:
            times.append(piece.facts["last_time"])
    return Spilt(
        rows_read=sum(piece.facts["rows_read"] for piece in pieces),
        rows_kept=sum(piece.facts["rows_kept"] for piece in pieces),
        last_time=max(times, default=None),
        drops=drops,
    )


def ids_file(side: str) -> str:
    """Where a piece keeps the ids of one side."""
    return f"{side}.arrow"


def _batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    # In a generator, so that errors of writing the batches are not taken for errors of reading.
    with explained():
        yield from frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)

"""From strings to codes, and from files to buckets of users: the steps after which memory depends on
a bucket.

First every piece of the log is written down with provisional codes (order of appearance there); then,
all ids being known, codes become places in ascending text order and the rows go to buckets, each a
range of users. So an id has the same code whatever the pieces and buckets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import Int32Array, Int64Array
from recsys.core.step_files import BucketFile
from recsys.core.steps import Call, Facts, Outcome, Steps
from recsys.core.table_files import read_arrow
from recsys.core.tables import BEHAVIOR, ITEM, USER
from recsys.logs.spill import BATCH, ID, ROWS, ids_file, together

_IDS = "ids.arrow"
_SIDES = (USER, ITEM, BEHAVIOR)


@dataclass(frozen=True)
class Exchanged:
    """Rows by bucket, coded by place in `users`, `items`, `behaviors` (ids in ascending text order).

    buckets: the files of each bucket, in the order of the log.
    starts: first user code of each bucket, and the number of users.
    last_time: the largest time; None without any.
    """

    buckets: tuple[tuple[BucketFile, ...], ...]
    starts: tuple[int, ...]
    users: BucketFile
    items: BucketFile
    behaviors: BucketFile
    num_items: int
    last_time: int | None = None

    @property
    def num_users(self) -> int:
        """Users that have a row."""
        return self.starts[-1]


def read_ids(path: Path) -> pl.Series:
    """Ids in ascending text order."""
    # In one chunk: how a table is cut into chunks shows in the Parquet file that it becomes.
    return read_arrow(path, columns=[ID])[ID].rechunk()


def exchange(pieces: Sequence[Outcome], steps: Steps, buckets: int) -> Exchanged:
    """Give the rows of pieces their final order of codes and put them into `buckets` ranges of users.

    Ranges hold about as many rows each.
    """
    sides = steps.run(
        "ids",
        order_ids,
        [(side, buckets) for side in _SIDES],
        [[file for piece in pieces for file in piece.named(ids_file(side))] for side in _SIDES],
    )
    [users, items, behaviors] = [side.named(_IDS)[0] for side in sides]
    starts = tuple(sides[0].facts["starts"])
    inputs = []
    for number, piece in enumerate(pieces):
        codes = [side.named(_codes_file(number))[0] for side in sides]
        inputs.append([*piece.starting(BATCH), *codes])
    arguments = [(number, starts) for number in range(len(pieces))]
    moved = steps.run("exchange", move_to_buckets, arguments, inputs)
    steps.let_go(pieces)
    files_of_buckets = []
    for bucket in range(buckets):
        files = [file for outcome in moved for file in outcome.starting(_bucket_prefix(bucket))]
        files_of_buckets.append(tuple(files))
    return Exchanged(
        buckets=tuple(files_of_buckets),
        starts=starts,
        users=users,
        items=items,
        behaviors=behaviors,
        num_items=sides[1].facts["ids"],
        last_time=together(pieces).last_time,
    )


def order_ids(call: Call) -> Facts:
    """The step that gives the ids of one side (users, items, behaviours) their final codes."""
    side, buckets = call.arguments
    tables = [read_arrow(path) for path in call.read(ids_file(side))]
    ids, codes = _in_text_order(pl.concat([table[ID] for table in tables]))
    ids.to_frame().write_ipc(call.out / _IDS)
    first = 0
    for number, table in enumerate(tables):
        np.save(call.out / _codes_file(number), codes[first : first + len(table)])
        first += len(table)
    facts: Facts = {"ids": len(ids)}
    if side == USER:
        rows = pl.concat([table[ROWS] for table in tables]).to_numpy()
        rows_of_user = np.bincount(codes, weights=rows, minlength=len(ids)).astype(np.int64)
        facts["starts"] = _starts(rows_of_user, buckets)
    return facts


def move_to_buckets(call: Call) -> Facts:
    """The step that gives the rows of a piece their final codes and puts them into buckets."""
    number, starts = call.arguments
    batches = [file.path for file in call.inputs if file.path.name.startswith(BATCH)]
    codes_of = {}
    for side, path in zip(_SIDES, call.read(_codes_file(number)), strict=True):
        codes_of[side] = np.load(path)
    bucket_of_user = np.repeat(np.arange(len(starts) - 1, dtype=np.int16), np.diff(starts))
    for place, file in enumerate(batches):
        rows = read_arrow(file)
        call.used_up(file)
        for column, codes in codes_of.items():
            if column in rows.columns:
                recoded = codes[rows[column].to_numpy()]
                rows = rows.with_columns(pl.Series(column, recoded))
        for bucket, rows_of_bucket in _by_bucket(rows, bucket_of_user):
            name = f"{_bucket_prefix(bucket)}{place:06d}.arrow"
            rows_of_bucket.write_ipc(call.out / name)
    return {}


def _in_text_order(ids: pl.Series) -> tuple[pl.Series, Int32Array]:
    """Each id once, in ascending text order, and the place there of each of the ids."""
    order = ids.arg_sort()
    ordered = ids.gather(order)
    is_first = (ordered != ordered.shift()).fill_null(True)
    codes = np.empty(len(ids), np.int32)
    codes[order.to_numpy()] = np.cumsum(is_first.to_numpy(), dtype=np.int32) - 1
    return ordered.filter(is_first), codes


def _starts(rows_of_user: Int64Array, buckets: int) -> list[int]:
    """First user of each bucket, and the number of users: ranges with about as many rows each."""
    rows_before = np.cumsum(rows_of_user) - rows_of_user
    num_rows = max(int(rows_of_user.sum()), 1)
    bucket: Int64Array = (rows_before * buckets // num_rows).clip(max=buckets - 1)
    starts = np.searchsorted(bucket, np.arange(buckets + 1))
    return [int(start) for start in starts]


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


def _codes_file(piece: int) -> str:
    return f"codes-{piece:05d}.npy"


def _bucket_prefix(bucket: int) -> str:
    return f"bucket-{bucket:05d}-"

"""From strings to codes, and from files to buckets of users: the steps after which memory depends on
a bucket.

First every piece of the log is written down with provisional codes (order of appearance there); then,
all ids being known, codes become places in ascending text order and the rows go to buckets, each a
range of users. So an id has the same code whatever the pieces and buckets.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyarrow.compute import dictionary_encode

from recsys.core.arrays import Int32Array, Int64Array
from recsys.core.step_files import BucketFile
from recsys.core.steps import Call, Facts, Outcome, Steps
from recsys.core.table_files import num_rows_of_arrow, read_arrow
from recsys.core.tables import BEHAVIOR, ITEM, USER
from recsys.logs.spill import BATCH, ID, ROWS, ids_file, together

_IDS = "ids.arrow"
_SIDES = (USER, ITEM, BEHAVIOR)
_IDS_AT_ONCE = 30_000_000  # some 2 GB
_SAMPLED_IDS = 1_000_000
_BATCHES_AT_ONCE = 4  # of a piece: pieces times buckets make many files as it is


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
    arguments_of_sides = [(side, buckets) for side in _SIDES]
    files_of_sides = []
    for side in _SIDES:
        ids_of_pieces = []
        for piece in pieces:
            ids_of_pieces.extend(piece.named(ids_file(side)))
        files_of_sides.append(ids_of_pieces)
    sides = steps.run("ids", order_ids, arguments_of_sides, files_of_sides)
    [users, items, behaviors] = [side.named(_IDS)[0] for side in sides]
    starts = tuple(sides[0].facts["starts"])
    inputs = []
    for number, piece in enumerate(pieces):
        codes = [side.named(_codes_file(number))[0] for side in sides]
        inputs.append([*piece.starting(BATCH), *codes])
    arguments = [(number, starts) for number in range(len(pieces))]
    moved = steps.run("exchange", move_to_buckets, arguments, inputs)
    steps.let_go(pieces)
    # Piece after piece: the order of the log decides between duplicates of equal times.
    files_of_buckets = []
    for bucket in range(buckets):
        files: list[BucketFile] = []
        for outcome in moved:
            files.extend(outcome.starting(_bucket_prefix(bucket)))
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
    paths = call.read(ids_file(side))
    ids, codes = code_ids(paths)
    ids.to_frame().write_ipc(call.out / _IDS)
    for number, of_piece in enumerate(codes):
        np.save(call.out / _codes_file(number), of_piece)
    facts: Facts = {"ids": len(ids)}
    if side == USER:
        rows_of_user = np.zeros(len(ids), np.int64)
        for path, of_piece in zip(paths, codes, strict=True):
            # A piece has a user once.
            rows_of_user[of_piece] += read_arrow(path, columns=[ROWS])[ROWS].to_numpy()
        facts["starts"] = _starts(rows_of_user, buckets)
    return facts


def code_ids(
    paths: Sequence[Path], at_once: int = _IDS_AT_ONCE
) -> tuple[pl.Series, list[Int32Array]]:
    """All ids of some pieces in ascending text order, and the place there of each id of each piece.

    Range by range of the text order, so that memory depends on a range.

    paths: files of ids. at_once: about as many ids has a range, each counted in every piece that has it.
    """
    codes = [np.empty(num_rows_of_arrow(path), np.int32) for path in paths]
    num_ids = sum(len(of_piece) for of_piece in codes)
    bounds = _bounds(paths, num_ids, at_once)
    # Two bytes for each id of each piece: all that is in memory of the ids of the ranges to come.
    ranges = [_ranges(read_ids(path), bounds) for path in paths]
    ordered = []
    first = 0
    for number in range(len(bounds) + 1):
        places = [np.flatnonzero(of_piece == number) for of_piece in ranges]
        # Read again for each range, rather than kept in memory for all of them.
        ids = []
        for path, places_of_piece in zip(paths, places, strict=True):
            ids.append(read_ids(path).gather(places_of_piece))
        ordered_ids, codes_of_range = _in_text_order(pl.concat(ids))
        # The ids of the pieces lie behind each other: cut apart, the codes go back where they are.
        ends = np.cumsum([len(of_piece) for of_piece in places])[:-1]
        codes_of_pieces = np.split(codes_of_range, ends)
        for of_piece, places_of_piece, codes_in_range in zip(
            codes, places, codes_of_pieces, strict=True
        ):
            of_piece[places_of_piece] = first + codes_in_range
        ordered.append(_compact(ordered_ids))
        first += len(ordered_ids)
    return pl.concat(ordered).rechunk(), codes


def _compact(ids: pl.Series) -> pl.Series:
    """The same, which after a filter still hold on to the texts of all that were filtered."""
    copied = ids.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pl.Series(ids.name, copied)


def _bounds(paths: Sequence[Path], num_ids: int, at_once: int) -> list[str]:
    """Ids that part those of the pieces, in text order, into ranges of about `at_once`."""
    num_ranges = -(-num_ids // at_once)
    if num_ranges <= 1:
        return []
    # Quantiles of a sample. Where they lie changes no code: any bounds keep the text order.
    step = max(1, num_ids // _SAMPLED_IDS)
    sampled = [read_ids(path).gather_every(step) for path in paths]
    sample = pl.concat(sampled).sort()
    places = [len(sample) * number // num_ranges for number in range(1, num_ranges)]
    return sample.gather(places).unique(maintain_order=True).to_list()


def _ranges(ids: pl.Series, bounds: Sequence[str]) -> NDArray[np.uint16]:
    """(ids,) which of the ranges that `bounds` part each lies in: how many of them are not above it."""
    if not bounds:
        return np.zeros(len(ids), np.uint16)
    parting = pl.Series(ID, bounds)
    return parting.search_sorted(ids, side="right").to_numpy().astype(np.uint16)


def move_to_buckets(call: Call) -> Facts:
    """The step that gives the rows of a piece their final codes and puts them into buckets."""
    number, starts = call.arguments
    batches = [file.path for file in call.inputs if file.path.name.startswith(BATCH)]
    codes_of = {}
    for side, path in zip(_SIDES, call.read(_codes_file(number)), strict=True):
        codes_of[side] = np.load(path)
    buckets = np.arange(len(starts) - 1, dtype=np.int16)
    bucket_of_user = np.repeat(buckets, np.diff(starts))
    for run_number, start in enumerate(range(0, len(batches), _BATCHES_AT_ONCE)):
        files = batches[start : start + _BATCHES_AT_ONCE]
        rows = pl.concat([_recoded(read_arrow(file), codes_of) for file in files])
        # Their space on disk is free before the rows are written again.
        for file in files:
            call.used_up(file)
        for bucket, rows_of_bucket in _by_bucket(rows, bucket_of_user):
            name = f"{_bucket_prefix(bucket)}{run_number:06d}.arrow"
            rows_of_bucket.write_ipc(call.out / name)
    return {}


def _recoded(rows: pl.DataFrame, codes_of: Mapping[str, Int32Array]) -> pl.DataFrame:
    """Rows with final codes in place of provisional ones."""
    for column, codes in codes_of.items():
        if column in rows.columns:
            final_codes = codes[rows[column].to_numpy()]
            rows = rows.with_columns(pl.Series(column, final_codes))
    return rows


def _in_text_order(ids: pl.Series) -> tuple[pl.Series, Int32Array]:
    """Each id once, in ascending text order, and the place there of each of the ids."""
    # An id comes once for every piece that has it: hashed once, and sorted only among the distinct.
    encoded = dictionary_encode(ids.to_arrow(compat_level=pl.CompatLevel.oldest()))
    distinct_ids = pl.Series(ids.name, encoded.dictionary)
    order = distinct_ids.arg_sort().to_numpy()
    # The inverse of `order`: rank[order[i]] = i.
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return distinct_ids.gather(order), rank[encoded.indices.to_numpy()]


def _starts(rows_of_user: Int64Array, buckets: int) -> list[int]:
    """First user of each bucket, and the number of users: ranges with about as many rows each."""
    rows_before = np.cumsum(rows_of_user) - rows_of_user
    num_rows = max(int(rows_of_user.sum()), 1)
    # A user goes where its first row would: ⌊rows before · buckets / rows⌋, ascending over users.
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

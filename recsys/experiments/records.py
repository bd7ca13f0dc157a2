"""What services wrote down of an experiment, as tables: answers, what was shown, what was done.

Files may grow while they are read: a line that is not whole yet is left for the next time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl
from polars.exceptions import PolarsError

from recsys.core.tables import (
    ANSWER,
    ARM,
    BEHAVIOR,
    BUNDLE,
    DRAWN,
    FALLBACK,
    ITEM_ID,
    ITEMS,
    OPTIONS,
    PLACES,
    POOL,
    RANK,
    TIME,
    USER_ID,
    WEIGHT,
)

_ANSWERS = {
    ANSWER: pl.String(),
    USER_ID: pl.String(),
    TIME: pl.Int64(),
    ARM: pl.String(),
    BUNDLE: pl.String(),
    FALLBACK: pl.Boolean(),
    DRAWN: pl.Boolean(),
    ITEMS: pl.List(pl.String()),
    POOL: pl.List(pl.String()),
    OPTIONS: pl.String(),
}
_IMPRESSIONS = {
    ANSWER: pl.String(),
    USER_ID: pl.String(),
    TIME: pl.Int64(),
    ITEMS: pl.List(pl.String()),
    PLACES: pl.List(pl.Int64()),
}
_EVENTS = {
    ANSWER: pl.String(),
    USER_ID: pl.String(),
    ITEM_ID: pl.String(),
    TIME: pl.Int64(),
    BEHAVIOR: pl.String(),
    WEIGHT: pl.Float64(),
}


@dataclass(frozen=True)
class Records:
    """answers, impressions, events: one row each, in the columns of the files."""

    answers: pl.DataFrame
    impressions: pl.DataFrame
    events: pl.DataFrame


def read_records(answers: Path, impressions: Path, events: Sequence[Path]) -> Records:
    """What is there of the three; files that are not there are empty."""
    logs = [_read(file, _EVENTS) for file in events]
    return Records(
        _read(answers, _ANSWERS).unique(ANSWER, keep="first", maintain_order=True),
        _read(impressions, _IMPRESSIONS),
        pl.concat([pl.DataFrame(schema=_EVENTS), *logs]),
    )


def shown_items(records: Records) -> pl.DataFrame:
    """One row for each item of each impression: answer, user, item, place, time; each item of an
    answer once, as it was shown first.
    """
    is_whole = pl.col(ITEMS).list.len() == pl.col(PLACES).list.len()
    rows = records.impressions.filter(is_whole).explode(ITEMS, PLACES).drop_nulls(ITEMS)
    rows = rows.rename({ITEMS: ITEM_ID, PLACES: RANK})
    return rows.sort(TIME, maintain_order=True).unique(
        [ANSWER, USER_ID, ITEM_ID], keep="first", maintain_order=True
    )


def given_items(answers: pl.DataFrame) -> pl.DataFrame:
    """One row for each item of each answer: answer, user, item, place from 1."""
    rows = answers.select(ANSWER, USER_ID, ITEMS).with_columns(
        pl.int_ranges(1, pl.col(ITEMS).list.len() + 1).alias(RANK)
    )
    rows = rows.explode(ITEMS, RANK).drop_nulls(ITEMS)
    return rows.rename({ITEMS: ITEM_ID})


def _read(file: Path, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    if not file.exists():
        return pl.DataFrame(schema=schema)
    lines = file.read_bytes()
    whole = lines[: lines.rfind(b"\n") + 1]
    if not whole:
        return pl.DataFrame(schema=schema)
    try:
        rows = pl.read_ndjson(whole, schema=schema, ignore_errors=True)
    except PolarsError:  # some line is no JSON
        rows = pl.read_ndjson(_valid(whole), schema=schema, ignore_errors=True)
    needed = [column for column in (USER_ID, TIME) if column in schema]
    return rows.drop_nulls(needed)


def _valid(lines: bytes) -> bytes:
    """The lines that are JSON, and an empty object, so that there is one."""
    valid = [b"{}"]
    for line in lines.splitlines():
        try:
            orjson.loads(line)
        except ValueError:
            continue
        valid.append(line)
    return b"\n".join(valid)

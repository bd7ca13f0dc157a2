"""JSON Lines logs as lazy frames of String columns; a column BROKEN marks lines that hold no JSON
object.
"""

import json
from collections.abc import Iterator

import polars as pl
from polars.exceptions import PolarsError
from polars.io.plugins import register_io_source

from recsys.core.errors import DataError
from recsys.logs.text import BROKEN, MEND_LINE, unreadable

_KEY_LINES = 1000


def scan_jsonl(name: str, count_broken: bool) -> pl.LazyFrame:
    """Objects of a JSON Lines file, one a line; nested values are left out, and so are empty lines.

    A line without a JSON object is marked BROKEN when `count_broken`, else refused with DataError
    naming its number.
    """
    flat = _keys(name, count_broken)
    if count_broken:
        paths = [pl.col("line").str.json_path_match(f"$['{key}']").alias(key) for key in flat]
        return _lines(name).select(*paths, _no_object().alias(BROKEN))
    return _refusing(name, pl.scan_ndjson(name, schema={key: pl.String() for key in flat}))


def _keys(name: str, count_broken: bool) -> list[str]:
    """Keys with plain values in the first objects of a JSON Lines file, in order of appearance.

    Raises DataError for a line among them without an object, unless `count_broken`.
    """
    try:
        first = _lines(name).head(_KEY_LINES).with_columns(_no_object().alias(BROKEN)).collect()
    except (PolarsError, OSError) as error:
        raise unreadable(name, error) from error
    if not count_broken and first[BROKEN].any():
        raise _refusal(name, *first.filter(BROKEN).select("number", "line").row(0))
    flat: dict[str, None] = {}
    for line in first.filter(~pl.col(BROKEN))["line"]:
        flat |= {
            key: None
            for key, value in json.loads(line).items()
            if not isinstance(value, dict | list)
        }
    if not flat:
        raise DataError(
            f"{name!r} holds no JSON object in its first lines", "Write one object a line"
        )
    return list(flat)


def _lines(name: str) -> pl.LazyFrame:
    """Lines that hold anything, with their `number` from 1."""
    numbered = pl.scan_lines(name).with_row_index("number", offset=1)
    return numbered.filter(pl.col("line").str.strip_chars() != "")


def _no_object() -> pl.Expr:
    line = pl.col("line")
    return line.str.json_path_match("$").is_null() | ~line.str.strip_chars_start().str.starts_with(
        "{"
    )


def _refusing(name: str, objects: pl.LazyFrame) -> pl.LazyFrame:
    """The same rows; where polars refuses a line, the error names it."""

    def batches(
        columns: list[str] | None,
        predicate: pl.Expr | None,
        num_rows: int | None,
        chunk_rows: int | None,
    ) -> Iterator[pl.DataFrame]:
        wanted = marked if columns is None else marked.select(columns)
        wanted = wanted if num_rows is None else wanted.head(num_rows)
        try:
            for rows in wanted.collect_batches(chunk_size=chunk_rows):
                yield rows if predicate is None else rows.filter(predicate)
        except PolarsError as error:
            broken = _lines(name).filter(_no_object()).head(1).collect()
            raise (
                _refusal(name, *broken.row(0)) if len(broken) else unreadable(name, error)
            ) from error

    marked = objects.with_columns(pl.lit(False).alias(BROKEN))
    return register_io_source(batches, schema=marked.collect_schema())


def _refusal(name: str, number: int, line: str) -> DataError:
    return DataError(f"line {number} of {name!r} is not a JSON object: {line[:80]!r}", MEND_LINE)

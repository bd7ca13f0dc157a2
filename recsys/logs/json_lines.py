"""JSON logs as lazy frames of String columns: one object a line, or an array of objects; a column
BROKEN marks lines that hold no JSON object.
"""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from recsys.core.errors import DataError
from recsys.logs.dialect import Encoding, line_blocks, tell_encoding
from recsys.logs.packed import read_blocks, read_start
from recsys.logs.text import (
    BROKEN,
    MEND_LINE,
    TextOptions,
    scan_batches,
    unreadable,
    with_broken,
)

_ARRAY = re.compile(r"\s*\[\s*\{")
_OBJECT = re.compile(r'\s*\{\s*["}]')
_ARRAY_BLOCK_OBJECTS = 50_000
_SHOWN_CHARACTERS = 80


def looks_like_json(start: bytes) -> bool:
    """Whether a file begins like an object or an array of objects."""
    text = start[:1000].decode("utf-8-sig", errors="ignore")
    return bool(_ARRAY.match(text) or _OBJECT.match(text))


def scan_json(name: str, options: TextOptions) -> pl.LazyFrame:
    """Objects of a JSON file or URL.

    Columns are the keys of the whole file, in order of appearance. Nested values are left out, and so
    are empty lines. A line without a JSON object is marked BROKEN when `count_broken`, else refused
    with DataError naming its number.
    """
    source = _JsonSource(name, options.count_broken)
    if options.typed:
        return source.typed_rows().lazy()
    return scan_batches(source.plain_keys(), source.text_rows)


class _JsonSource:
    """One file or URL of objects, read block by block."""

    def __init__(self, name: str, count_broken: bool) -> None:
        self.name = name
        self.count_broken = count_broken

    def plain_keys(self) -> list[str]:
        """Keys that hold a plain value anywhere in the file, in order of appearance."""
        plain: dict[str, None] = {}
        for block, line_number in self._blocks():
            for key in self._plain_keys_of(block, line_number):
                plain[key] = None
        self._require(bool(plain))
        return list(plain)

    def text_rows(self, keys: list[str]) -> Iterator[pl.DataFrame]:
        """Values of these keys as text, and BROKEN."""
        schema = dict.fromkeys(keys, pl.String)
        for block, line_number in self._blocks():
            try:
                # Polars gives no rows where no key is wanted.
                rows = pl.read_ndjson(io.BytesIO(block), schema=schema) if keys else None
            except PolarsError:
                rows = None
            if rows is not None:
                yield with_broken(rows, 0)
                continue
            objects, num_broken = self._parse_lines(block, line_number)
            table = [[_plain_text(entry.get(key)) for key in keys] for entry in objects]
            whole = pl.DataFrame(table, schema=schema, orient="row")
            if not keys:
                # A frame without columns has no rows; BROKEN says how many there are.
                whole = pl.DataFrame({BROKEN: [False] * len(objects)}, schema={BROKEN: pl.Boolean})
            yield with_broken(whole, num_broken)

    def typed_rows(self) -> pl.DataFrame:
        """All objects in memory, with the types of their values; lines without one are left out."""
        tables = []
        for block, line_number in self._blocks():
            try:
                table = pl.read_ndjson(io.BytesIO(block), infer_schema_length=None)
            except PolarsError:
                objects, _ = self._parse_lines(block, line_number)
                table = pl.DataFrame(objects, infer_schema_length=None, strict=False)
            tables.append(table)
        self._require(bool(tables))
        return pl.concat(tables, how="diagonal_relaxed")

    def _plain_keys_of(self, block: bytes, line_number: int) -> list[str]:
        try:
            schema = pl.read_ndjson(io.BytesIO(block), infer_schema_length=None).schema
            return [key for key, kind in schema.items() if not kind.is_nested()]
        except PolarsError:
            objects, _ = self._parse_lines(block, line_number)
        plain: dict[str, None] = {}
        for entry in objects:
            for key, value in entry.items():
                if not isinstance(value, dict | list):
                    plain[key] = None
        return list(plain)

    def _parse_lines(self, block: bytes, line_number: int) -> tuple[list[dict[str, Any]], int]:
        """Objects of a block whose first line has this number, and how many lines hold none.

        Raises DataError for a line without an object, unless they are counted.
        """
        objects, num_broken = [], 0
        for position, line in enumerate(block.decode().split("\n")):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if isinstance(entry, dict):
                objects.append(entry)
            elif self.count_broken:
                num_broken += 1
            else:
                shown = line[:_SHOWN_CHARACTERS]
                raise DataError(
                    f"line {line_number + position} of {self.name!r} is not a JSON object: {shown!r}",
                    MEND_LINE,
                )
        return objects, num_broken

    def _blocks(self) -> Iterator[tuple[bytes, int]]:
        """Blocks of lines that hold anything, and the number of their first line."""
        try:
            start = read_start(self.name)
            encoding = tell_encoding(self.name, start)
            text = next(line_blocks([start], encoding), b"").decode(errors="replace")
            blocks = line_blocks(read_blocks(self.name), encoding)
            if _ARRAY.match(text):
                blocks = self._array_blocks(encoding)
            line_number = 1
            for block in blocks:
                if block.strip():
                    yield block, line_number
                line_number += block.count(b"\n")
        except (PolarsError, UnicodeDecodeError, OSError, EOFError) as error:
            raise unreadable(self.name, error) from error

    def _array_blocks(self, encoding: Encoding) -> Iterator[bytes]:
        """An array of objects as lines; it is held in memory as a whole."""
        content = b"".join(line_blocks(read_blocks(self.name), encoding))
        try:
            entries = json.loads(content)
        except ValueError as error:
            raise DataError(
                f"{self.name!r} begins as a JSON array and is none: {error}",
                "Is its end cut off? Export it again, or write one object a line",
            ) from error
        for first in range(0, len(entries), _ARRAY_BLOCK_OBJECTS):
            chunk = entries[first : first + _ARRAY_BLOCK_OBJECTS]
            lines = [json.dumps(entry, ensure_ascii=False) for entry in chunk]
            yield ("\n".join(lines) + "\n").encode()

    def _require(self, any_object: bool) -> None:
        if not any_object:
            raise DataError(f"{self.name!r} holds no JSON object", "Write one object a line")


def _plain_text(value: object) -> str | None:
    """A value as text, as polars writes it; None for null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)

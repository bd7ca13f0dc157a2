"""Text files of fields as lazy frames of String columns, as written; a column BROKEN marks lines that
do not fit the others.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv

from recsys.core.errors import DataError
from recsys.logs.dialect import Dialect, line_blocks, not_utf8, tell_dialect, tell_encoding
from recsys.logs.lazy import lazy_frame
from recsys.logs.packed import is_remote, read_blocks, read_start
from recsys.logs.quotes import QuoteChecker

BROKEN = "_broken"
MEND_LINE = 'Mend it, or drop and count such lines with data.broken_lines = "count"'
_MISFIT = re.compile(r"Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
_UNREADABLE = (pa.ArrowInvalid, UnicodeDecodeError, OSError, EOFError)


@dataclass(frozen=True)
class TextOptions:
    """How text files are read.

    separator: between fields; told from the first lines when absent or not there.
    columns: names when the file has no header line.
    count_broken: mark lines that do not fit as BROKEN instead of refusing them.
    quoted: whether " encloses fields.
    typed: give JSON values their types; by default all values are text.
    """

    separator: str | None = None
    columns: tuple[str, ...] | None = None
    count_broken: bool = False
    quoted: bool = True
    typed: bool = False


def scan_text(name: str, options: TextOptions) -> pl.LazyFrame:
    """Lines of a file or URL as columns of text, and BROKEN.

    An empty field is null, a quoted empty one is "". A line with another number of fields, or with a
    quote that never closes, is marked BROKEN, or refused with DataError unless `count_broken`.
    """
    if is_remote(name):
        return _scan_remote(name, options)
    try:
        start = read_start(name)
        dialect = tell_dialect(name, start, options.separator, options.columns)
    except (OSError, EOFError) as error:
        raise unreadable(name, error) from error
    reader = _TextReader(name, dialect, options)
    return scan_batches(dialect.names, reader.batches)


def scan_batches(
    names: list[str], read: Callable[[list[str]], Iterator[pl.DataFrame]]
) -> pl.LazyFrame:
    """Batches of text as a lazy frame.

    names: of its columns, beside BROKEN.
    read: from the columns that are wanted, to batches with at least these and BROKEN.
    """
    schema: dict[str, Any] = dict.fromkeys(names, pl.String())
    schema[BROKEN] = pl.Boolean()

    def batches(wanted: list[str]) -> Iterator[pl.DataFrame]:
        return read([name for name in wanted if name != BROKEN])

    return lazy_frame(schema, batches)


def with_broken(rows: pl.DataFrame, num_broken: int) -> pl.DataFrame:
    """The rows with BROKEN, and behind them a row of nulls for each broken line."""
    frame = rows.with_columns(pl.lit(False).alias(BROKEN))
    if not num_broken:
        return frame
    broken = pl.DataFrame({BROKEN: [True] * num_broken}, schema={BROKEN: pl.Boolean})
    return pl.concat([frame, broken], how="diagonal")


def read_lines(name: str) -> list[str]:
    """All lines of a text file without their ends, whatever its encoding and packing."""
    lines: list[str] = []
    try:
        encoding = tell_encoding(name, read_start(name))
        for block in line_blocks(read_blocks(name), encoding):
            lines += block.decode().split("\n")
    except (UnicodeDecodeError, EOFError) as error:
        raise unreadable(name, error) from error
    return [line.rstrip("\r") for line in lines]


def unreadable(name: str, error: BaseException) -> DataError:
    """DataError for a text file that its reader refused."""
    message = str(error).strip().split("\n")[0]
    if "utf" in message.lower():
        return not_utf8(name, error)
    return DataError(
        f"cannot read {name!r}: {message}",
        "Mend the file, or look for an unclosed quote or a cut-off end",
    )


@dataclass
class _Rows:
    """Rows of a block, and how many of its lines are broken."""

    frame: pl.DataFrame
    num_broken: int = 0


@dataclass
class _BrokenRows:
    """Rows that arrow refuses, counted by `skip`."""

    count: int = field(default=0)

    def skip(self, _: Any) -> str:
        """What arrow calls for such a row."""
        self.count += 1
        return "skip"


class _TextReader:
    """Reads one local text file block by block; memory is bounded by a block, whatever the file's
    size.
    """

    def __init__(self, name: str, dialect: Dialect, options: TextOptions) -> None:
        self.name = name
        self.dialect = dialect
        self.options = options

    def batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """Rows with these columns and BROKEN."""
        # One column at least is read, so that it is known how many rows there are.
        for rows in self._read(columns or self.dialect.names[:1]):
            yield with_broken(rows.frame, rows.num_broken)

    def _read(self, wanted: list[str]) -> Iterator[_Rows]:
        try:
            if len(self.dialect.separator) > 1:
                yield from self._split_blocks(wanted)
            elif self.options.quoted:
                yield from self._checked_blocks(wanted)
            else:
                for block in self._blocks():
                    yield self._parse(block, wanted)
        except _UNREADABLE as error:
            misfit = _MISFIT.search(str(error))
            if misfit:
                raise self._refusal(int(misfit[2]), misfit[3]) from None
            raise unreadable(self.name, error) from error

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines below the header."""
        head_lines = self.dialect.head_lines
        for block in line_blocks(read_blocks(self.name), self.dialect.encoding):
            lines = block
            # A header of several lines may end in a later block.
            while head_lines and lines:
                lines = lines.partition(b"\n")[2]
                head_lines -= 1
            if lines:
                yield lines

    def _checked_blocks(self, wanted: list[str]) -> Iterator[_Rows]:
        """Blocks without the lines whose quotes never close."""
        checker = QuoteChecker(self.dialect.separator, len(self.dialect.names))
        line_number = self.dialect.head_lines + 1
        unfinished = b""
        for block in self._blocks():
            # A record that the last block left open is looked at again together with this one.
            checked = checker.check(unfinished + block, is_last=False)
            yield self._finish(checked.lines, checked.stray, line_number, wanted)
            line_number += checked.num_lines
            unfinished = checked.unfinished
        if unfinished:
            checked = checker.check(unfinished, is_last=True)
            yield self._finish(checked.lines, checked.stray, line_number, wanted)

    def _finish(
        self, lines: bytes, stray: list[tuple[int, str]], line_number: int, wanted: list[str]
    ) -> _Rows:
        """Rows of a block; line_number: of its first line in the file."""
        if stray and not self.options.count_broken:
            position, text = stray[0]
            raise DataError(
                f"line {line_number + position} of {self.name!r} has a quote that never closes: {text[:80]!r}",
                MEND_LINE,
            )
        rows = self._parse(lines, wanted)
        rows.num_broken += len(stray)
        return rows

    def _parse(self, lines: bytes, wanted: list[str]) -> _Rows:
        broken = _BrokenRows()
        names = self.dialect.names
        if not lines.strip(b"\r\n"):
            return _Rows(pl.DataFrame(schema=dict.fromkeys(wanted, pl.String)))
        table = arrow_csv.read_csv(
            pa.BufferReader(lines),
            # A block must hold the longest record.
            arrow_csv.ReadOptions(block_size=max(len(lines), 1) + 1, column_names=names),
            arrow_csv.ParseOptions(
                delimiter=self.dialect.separator,
                quote_char='"' if self.options.quoted else False,
                newlines_in_values=self.options.quoted,
                invalid_row_handler=broken.skip if self.options.count_broken else None,
            ),
            arrow_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return _Rows(pl.DataFrame(table), broken.count)

    def _split_blocks(self, wanted: list[str]) -> Iterator[_Rows]:
        """Lines cut at a separator of several characters, which no CSV reader knows; quotes mean
        nothing there.
        """
        names = self.dialect.names
        for block in self._blocks():
            lines = pl.Series("line", [block.decode()]).str.split("\n").explode()
            lines = lines.str.strip_chars_end("\r")
            # As the CSV reader does, empty lines are no rows.
            fields = lines.filter(lines != "").str.split(self.dialect.separator)
            fits = fields.list.len() == len(names)
            misfits = fields.filter(~fits)
            if len(misfits) and not self.options.count_broken:
                first = misfits[0].to_list()
                raise self._refusal(len(first), self.dialect.separator.join(first))
            fitting = fields.filter(fits)
            columns = {}
            for column in wanted:
                values = fitting.list.get(names.index(column))
                columns[column] = values.replace("", None)
            frame = pl.DataFrame(columns, schema=dict.fromkeys(wanted, pl.String))
            yield _Rows(frame, len(misfits))

    def _refusal(self, num_fields: int, text: str) -> DataError:
        expected = len(self.dialect.names)
        return DataError(
            f"{self.name!r} has a line with {num_fields} fields instead of {expected}: {text[:80]!r}",
            MEND_LINE,
        )


def _scan_remote(name: str, options: TextOptions) -> pl.LazyFrame:
    """A text file behind a URL, as polars reads it: long lines are refused, short ones are filled
    with nulls.
    """
    frame = pl.scan_csv(
        name,
        separator=options.separator or ",",
        has_header=options.columns is None,
        new_columns=list(options.columns) if options.columns else None,
        infer_schema=False,
    )
    return frame.with_columns(pl.lit(False).alias(BROKEN))

"""CSV logs as lazy frames of String columns, as written; a column BROKEN marks lines that do not
fit the others.
"""

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
from polars.io.plugins import register_io_source

from recsys.core.errors import DataError

BROKEN = "_broken"
_BLOCK_BYTES = 8 << 20
_SNIFFED = ",\t;|"
_MISFIT = re.compile(r"Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
MEND_LINE = 'Mend it, or drop and count such lines with data.broken_lines = "count"'


def scan_csv(
    name: str,
    separator: str | None,
    columns: tuple[str, ...] | None,
    count_broken: bool,
    quoted: bool = True,
) -> pl.LazyFrame:
    """Lines of a CSV or TSV file (.gz and .zst too, a URL as polars reads it).

    An empty field is null, a quoted empty one is "". separator: told from the header when absent;
    more than one character is allowed for files without quotes (MovieLens "::"). columns: names
    when there is no header line. quoted: whether " encloses fields. A line with another number of
    fields is marked BROKEN, or refused with DataError unless `count_broken`.
    """
    if "://" in name:
        return _scan_remote_csv(name, separator, columns)
    header = _first_line(name)
    separator = separator or max(_SNIFFED, key=header.count)
    names = list(columns) if columns else _header_names(name, header, separator)
    reader = _LineReader(
        name, separator, names, has_header=columns is None, count_broken=count_broken, quoted=quoted
    )
    return register_io_source(
        reader.batches, schema={column: pl.String() for column in [*names]} | {BROKEN: pl.Boolean()}
    )


def unreadable(name: str, error: BaseException) -> DataError:
    """DataError for a text file that its reader refused."""
    message = str(error).strip().split("\n")[0]
    if "utf" in message.lower():
        return DataError(
            f"{name!r} is not valid UTF-8: {message}",
            "Convert it: iconv -f latin1 -t utf8 OLD > NEW (or your encoding)",
        )
    return DataError(
        f"cannot read {name!r}: {message}",
        "Mend the file, or look for an unclosed quote or a cut-off end",
    )


class _LineReader:
    """Reads one local text file block by block; memory is bounded by a block, whatever the file's
    size.
    """

    def __init__(
        self,
        name: str,
        separator: str,
        names: list[str],
        has_header: bool,
        count_broken: bool,
        quoted: bool,
    ) -> None:
        self.name = name
        self.separator = separator
        self.names = names
        self.has_header = has_header
        self.count_broken = count_broken
        self.quoted = quoted

    def batches(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        num_rows: int | None,
        _: int | None,
    ) -> Iterator[pl.DataFrame]:
        """What polars asks an IO source for."""
        wanted = (
            self.names if columns is None else [column for column in columns if column != BROKEN]
        )
        for batch in self._read(wanted):
            frame = batch if columns is None else batch.select(columns)
            frame = frame if num_rows is None else frame.head(num_rows)
            num_rows = None if num_rows is None else num_rows - len(frame)
            yield frame if predicate is None else frame.filter(predicate)
            if num_rows == 0:
                return

    def _read(self, wanted: list[str]) -> Iterator[pl.DataFrame]:
        broken: list[Any] = []
        lines = (
            self._split_lines(wanted)
            if len(self.separator) > 1
            else self._parsed_lines(wanted, broken)
        )
        try:
            yield from lines
        except (pa.ArrowInvalid, UnicodeDecodeError, OSError, EOFError) as error:
            if misfit := _MISFIT.search(str(error)):
                raise self._refusal(int(misfit[2]), int(misfit[1]), misfit[3]) from None
            raise unreadable(self.name, error) from error

    def _parsed_lines(self, wanted: list[str], broken: list[Any]) -> Iterator[pl.DataFrame]:
        with _open_native(self.name) as stream:
            reader = arrow_csv.open_csv(
                stream,
                arrow_csv.ReadOptions(
                    block_size=_BLOCK_BYTES,
                    column_names=self.names,
                    skip_rows=int(self.has_header),
                    use_threads=True,
                ),
                arrow_csv.ParseOptions(
                    delimiter=self.separator,
                    quote_char='"' if self.quoted else False,
                    newlines_in_values=self.quoted,
                    # Only where wanted: arrow may let go of it in a thread of its own while the
                    # process ends.
                    invalid_row_handler=_keep_in(broken) if self.count_broken else None,
                ),
                arrow_csv.ConvertOptions(
                    # Arrow needs one column at least to know how many rows there are.
                    include_columns=wanted or self.names[:1],
                    column_types=dict.fromkeys(self.names, pa.large_string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield self._frame(pl.DataFrame(batch), len(broken))
                broken.clear()
            if broken:
                yield self._frame(
                    pl.DataFrame(schema=dict.fromkeys(wanted, pl.String)), len(broken)
                )

    def _refusal(self, found: int, expected: int, text: str | None) -> DataError:
        return DataError(
            f"{self.name!r} has a line with {found} fields instead of {expected}: {(text or '')[:80]!r}",
            MEND_LINE,
        )

    def _frame(self, rows: pl.DataFrame, num_broken: int) -> pl.DataFrame:
        marked = rows.with_columns(pl.lit(False).alias(BROKEN))
        lost = pl.DataFrame({BROKEN: [True] * num_broken}, schema={BROKEN: pl.Boolean})
        return pl.concat([marked, lost], how="diagonal") if num_broken else marked

    def _split_lines(self, wanted: list[str]) -> Iterator[pl.DataFrame]:
        """Lines cut at a separator of several characters, which no CSV reader knows; quotes mean
        nothing there.
        """
        with (
            open_text(self.name) as stream,
            io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as text,
        ):
            if self.has_header:
                text.readline()
            while lines := text.readlines(_BLOCK_BYTES):
                yield self._cut(pl.Series("line", lines).str.strip_chars_end("\r\n"), wanted)

    def _cut(self, lines: pl.Series, wanted: list[str]) -> pl.DataFrame:
        fields = lines.filter(lines != "").str.split(self.separator)
        fits = fields.list.len() == len(self.names)
        for bad in fields.filter(~fits).head(1):
            if not self.count_broken:
                raise self._refusal(len(bad), len(self.names), self.separator.join(bad))
        kept = fields.filter(fits)
        columns = {name: kept.list.get(self.names.index(name)) for name in wanted or self.names[:1]}
        rows = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        return self._frame(rows.with_columns(pl.all().replace("", None)), int((~fits).sum()))


def _keep_in(broken: list[Any]) -> Callable[[Any], str]:
    """What arrow calls for a bad line that is to be counted."""

    def handle(row: Any) -> str:
        broken.append(row)
        return "skip"

    return handle


def open_text(name: str) -> IO[bytes]:
    """A local file as bytes, unpacked when its name ends in .gz or .zst."""
    if name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(name, "rb"))
    if name.lower().endswith(".zst"):
        return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(name), "zstd"))
    return Path(name).open("rb")


def _open_native(name: str) -> pa.NativeFile:
    """The same bytes without Python: arrow reads ahead in threads that must not call it while the
    process ends.
    """
    for ending, codec in ((".gz", "gzip"), (".zst", "zstd")):
        if name.lower().endswith(ending):
            return pa.CompressedInputStream(pa.OSFile(name), codec)
    return pa.OSFile(name)


def _first_line(name: str) -> str:
    try:
        with open_text(name) as stream:
            line = stream.read(_BLOCK_BYTES >> 3).split(b"\n")[0]
        return line.decode("utf-8-sig").rstrip("\r")
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise unreadable(name, error) from error


def _header_names(name: str, header: str, separator: str) -> list[str]:
    if not header.strip():
        raise DataError(
            f"{name!r} starts with an empty line instead of column names",
            "Remove it, or name data.columns",
        )
    names = (
        header.split(separator)
        if len(separator) > 1
        else next(csv.reader([header], delimiter=separator))
    )
    names = [column.strip() for column in names]
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise DataError(
            f"{name!r} has several columns named {repeated[0]!r}",
            "Rename all but one in its first line",
        )
    return names


def _scan_remote_csv(
    name: str, separator: str | None, columns: tuple[str, ...] | None
) -> pl.LazyFrame:
    """A text file behind a URL, as polars reads it: long lines are refused, short ones are filled
    with nulls.
    """
    frame = pl.scan_csv(
        name,
        separator=separator or ",",
        has_header=columns is None,
        new_columns=list(columns) if columns else None,
        infer_schema=False,
    )
    return frame.with_columns(pl.lit(False).alias(BROKEN))

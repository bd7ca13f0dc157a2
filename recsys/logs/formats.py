"""File formats of every table that people give.

FORMATS has one entry a format. To add one, write a function that takes the name of a file and
TextOptions and gives a lazy frame, and put an entry with it into FORMATS: logs, item and user tables,
relations and lists of other systems can then be of the format. `recognises` looks at the first bytes,
so that a wrong ending does no harm; where no format recognises a file, its ending decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from recsys.core.errors import DataError
from recsys.core.table_files import scan_parquet
from recsys.logs import orc
from recsys.logs.json_lines import looks_like_json, scan_json
from recsys.logs.packed import is_remote, read_start
from recsys.logs.text import TextOptions, scan_text

PACKED_ENDINGS = (".gz", ".zst")
PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True)
class Format:
    """How files of one format are found and read.

    name: in messages.
    endings: of file names, in small letters.
    recognises: whether a file is of the format, from its first bytes.
    scan: its rows; raises DataError for a file that cannot be read.
    text: whether `scan` gives columns of text beside BROKEN, from which types are told.
    only_named: endings that are read when named, and not when a folder is.
    """

    name: str
    endings: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    scan: Callable[[str, TextOptions], pl.LazyFrame]
    text: bool
    only_named: tuple[str, ...] = ()


def format_of(name: str) -> Format:
    """The format of a file or URL. Raises DataError when it is of none."""
    ending = ending_of(name)
    by_ending = None
    for candidate in FORMATS:
        if ending in candidate.endings:
            by_ending = candidate
    if not is_remote(name):
        start = read_start_of(name)
        for candidate in FORMATS:
            if candidate.recognises(start):
                return candidate
    if by_ending is None:
        raise DataError(
            f"cannot tell the format of {name!r} from its name",
            f"Name it with one of {', '.join(all_endings())}, text also with {' or '.join(PACKED_ENDINGS)}",
        )
    return by_ending


def ending_of(name: str) -> str:
    """The ending of a name in small letters, without that of a packed file."""
    plain = name.split("?")[0] if is_remote(name) else name
    plain = plain.rstrip("/").lower()
    for ending in PACKED_ENDINGS:
        plain = plain.removesuffix(ending)
    return Path(plain).suffix


def all_endings() -> list[str]:
    """Every ending of a format that is read."""
    endings: list[str] = []
    for known in FORMATS:
        endings += known.endings
    return endings


def endings_in_folders() -> list[str]:
    """Endings of the files that are read where a folder is named."""
    endings = []
    for known in FORMATS:
        for ending in known.endings:
            if ending not in known.only_named:
                endings.append(ending)
    return endings


def read_start_of(name: str) -> bytes:
    """The first bytes of a file. Raises DataError for an empty one and one that cannot be unpacked."""
    if Path(name).stat().st_size == 0:
        raise DataError(
            f"{name!r} is empty (0 bytes)",
            "Was its export cut short? Export it again, or leave it out",
        )
    try:
        return read_start(name)
    except (OSError, EOFError) as error:
        raise DataError(
            f"cannot read {name!r}: {first_line(error)}", "The file is cut short: export it again"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error of polars or pyarrow, which add pages of advice."""
    return str(error).strip().split("\n")[0]


def _scan_parquet(name: str, _: TextOptions) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(name) if is_remote(name) else scan_parquet(name)
        frame.collect_schema()
        return frame
    except (PolarsError, OSError) as error:
        raise _damaged(name, "Parquet", error) from error


def _is_parquet(start: bytes) -> bool:
    return start.startswith(b"PAR1")


def _scan_orc(name: str, _: TextOptions) -> pl.LazyFrame:
    """Its stripes, one at a time."""
    try:
        return orc.scan(name)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, "ORC", error) from error


def _is_orc(start: bytes) -> bool:
    return start.startswith(b"ORC")


def _scan_avro(name: str, _: TextOptions) -> pl.LazyFrame:
    """All rows: Avro is read whole."""
    try:
        return pl.read_avro(name).lazy()
    except (PolarsError, OSError) as error:
        raise _damaged(name, "Avro", error) from error


def _is_avro(start: bytes) -> bool:
    return start.startswith(b"Obj\x01")


def _damaged(name: str, what: str, error: Exception) -> DataError:
    return DataError(
        f"cannot read {name!r} as {what}: {first_line(error)}",
        "The file is cut short or damaged: export it again",
    )


def _only_by_ending(_: bytes) -> bool:
    """Fields of text look like any other text."""
    return False


# A folder often holds a readme beside its log: such text files are read only when named.
FORMATS = (
    Format("parquet", PARQUET_ENDINGS, _is_parquet, _scan_parquet, text=False),
    Format("orc", (".orc",), _is_orc, _scan_orc, text=False),
    Format("avro", (".avro",), _is_avro, _scan_avro, text=False),
    Format(
        "jsonl",
        (".jsonl", ".ndjson", ".json"),
        looks_like_json,
        scan_json,
        text=True,
        only_named=(".json",),
    ),
    Format(
        "csv",
        (".csv", ".tsv", ".txt", ".dat", ".data", ".inter"),
        _only_by_ending,
        scan_text,
        text=True,
        only_named=(".txt", ".dat", ".data"),
    ),
)

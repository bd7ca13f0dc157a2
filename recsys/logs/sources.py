"""Where rows come from: files, folders, globs, URLs and frames, each as lazy frames with the
columns of the source.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl
from polars.exceptions import PolarsError

from recsys.core.errors import DataError
from recsys.logs.json_lines import scan_jsonl
from recsys.logs.text import scan_csv

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = "str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | pd.DataFrame"

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".data": "csv",
    ".inter": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_COMPRESSED = (".gz", ".zst")
# A folder often holds a readme beside its log: such text files are read only when named.
_NOT_FROM_FOLDERS = (".txt", ".dat", ".data", ".json")


@dataclass(frozen=True)
class TextOptions:
    """How text files are read. columns: names when the file has no header line."""

    separator: str | None = None
    columns: tuple[str, ...] | None = None
    count_broken: bool = False


@dataclass(frozen=True)
class Part:
    """One file or frame. text: every column is a String as written, with text.BROKEN beside them."""

    name: str
    frame: pl.LazyFrame
    text: bool

    @property
    def columns(self) -> list[str]:
        return self.frame.collect_schema().names()


def open_parts(source: Source, options: TextOptions) -> list[Part]:
    """The parts of a source in a fixed order (names ascending). Raises DataError for what cannot be
    read.
    """
    if isinstance(source, pl.LazyFrame):
        return [Part("frame", source, text=False)]
    if isinstance(source, pl.DataFrame):
        return [Part("frame", source.lazy(), text=False)]
    if isinstance(source, str | Path):
        return [_open(name, options) for name in list_files(source)]
    if isinstance(source, Sequence):
        return [_open(name, options) for one in source for name in list_files(one)]
    return [Part("frame", _from_pandas(source).lazy(), text=False)]


def list_files(source: str | Path) -> list[str]:
    """Files named by a path, folder, glob or URL. Raises DataError when there is none."""
    name = str(source)
    if "://" in name:
        return [name]
    path = Path(name)
    if path.is_dir():
        return _list_folder(path)
    if path.exists():
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (Path.glob refuses absolute patterns)
    if not found:
        raise DataError(
            f"there is no file {name!r}",
            "Check the path; quote a glob so that the shell leaves it alone",
        )
    return [file for file in found if Path(file).is_file()]


def format_of(name: str) -> str:
    """'csv', 'parquet' or 'jsonl', told from the file name. Raises DataError for any other."""
    kind = _FORMATS.get(_suffix(name))
    if kind is None:
        raise DataError(
            f"cannot tell the format of {name!r} from its name",
            f"Name it with one of {', '.join(_FORMATS)}, text also with {' or '.join(_COMPRESSED)}",
        )
    return kind


def _suffix(name: str) -> str:
    plain = name.split("?")[0].rstrip("/").lower()
    for ending in _COMPRESSED:
        plain = plain.removesuffix(ending)
    return Path(plain).suffix


def _list_folder(folder: Path) -> list[str]:
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and _suffix(file.name) in _FORMATS
        and not file.name.startswith((".", "_"))
    ]
    files = [file for file in files if _suffix(file.name) not in _NOT_FROM_FOLDERS] or files
    formats = sorted({format_of(file.name) for file in files})
    if len(formats) > 1:
        raise DataError(
            f"{str(folder)!r} holds {' and '.join(formats)} files",
            f"Name one kind: '{folder}/*.csv'",
        )
    if not files:
        raise DataError(f"{str(folder)!r} holds no log file", f"Wanted: {', '.join(_FORMATS)}")
    return [str(file) for file in files]


def _open(name: str, options: TextOptions) -> Part:
    kind = format_of(name)
    if "://" not in name and Path(name).stat().st_size == 0:
        raise DataError(
            f"{name!r} is empty (0 bytes)",
            "Was its export cut short? Export it again, or leave it out",
        )
    if kind == "parquet":
        return Part(name, _scan_parquet(name), text=False)
    if kind == "jsonl":
        return Part(name, scan_jsonl(name, options.count_broken), text=True)
    separator = options.separator or ("\t" if _suffix(name) == ".tsv" else None)
    return Part(name, scan_csv(name, separator, options.columns, options.count_broken), text=True)


def _scan_parquet(name: str) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(name)
        frame.collect_schema()
        return frame
    except (PolarsError, OSError) as error:
        raise DataError(
            f"cannot read {name!r} as Parquet: {first_line(error)}",
            "The file is cut short or damaged: export it again",
        ) from error


def _from_pandas(frame: object) -> pl.DataFrame:
    columns = getattr(frame, "columns", None)
    if columns is None:
        raise DataError(
            f"cannot read a log from {type(frame).__name__}",
            "Give a path, a list of paths, or a polars or pandas frame",
        )
    names = [str(name) for name in columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"the frame has several columns named {repeated[0]!r}", "Rename or drop all but one"
        )
    try:
        return pl.DataFrame(
            {
                name: pl.from_pandas(frame[column])  # type: ignore[index]
                for name, column in zip(names, columns, strict=True)
            }
        )
    except (PolarsError, TypeError, ValueError) as error:
        raise DataError(
            f"cannot read the pandas frame: {first_line(error)}",
            "Give every column one type, for example str",
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error of polars or pyarrow, which add pages of advice."""
    return str(error).strip().split("\n")[0]

"""Where rows come from: files, folders, globs, URLs, tables of a lakehouse and frames, each as lazy
frames with the columns of the source.

What lies in object storage is brought to this machine first (`storage.inputs`), so that it is read
exactly like local files; messages and reports name its URL.
"""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

import polars as pl
from polars.exceptions import PolarsError

from recsys.core.addresses import is_object, local_path, refuse_secrets
from recsys.core.errors import DataError
from recsys.core.progress import QUIET, Progress
from recsys.logs.formats import (
    all_endings,
    ending_of,
    endings_in_folders,
    first_line,
    format_of,
)
from recsys.logs.lakehouse import remote_iceberg, table_format_of, table_key
from recsys.logs.packed import is_remote
from recsys.logs.text import TextOptions
from recsys.storage.inputs import Snapshot, bring

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = (
    "str | Path | Sequence[str | Path] | Part | pl.DataFrame | pl.LazyFrame | pd.DataFrame"
)

_PARTITION = re.compile(r"([^=]+)=(.*)")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """One file or frame.

    name: of the file.
    frame: its rows.
    text: whether every column is a String as written, with text.BROKEN beside them.
    """

    name: str
    frame: pl.LazyFrame
    text: bool

    @property
    def columns(self) -> list[str]:
        """Names of its columns."""
        return self.frame.collect_schema().names()


def open_parts(source: Source, options: TextOptions) -> list[Part]:
    """The parts of a source in a fixed order (names ascending). Raises DataError for what cannot be
    read.
    """
    if isinstance(source, Part):
        return [source]
    if isinstance(source, pl.LazyFrame):
        return [Part("frame", source, text=False)]
    if isinstance(source, pl.DataFrame):
        return [Part("frame", source.lazy(), text=False)]
    if isinstance(source, str | Path):
        return _open_named([source], options)
    if isinstance(source, Sequence):
        return _open_named(source, options)
    return [Part("frame", _from_pandas(source).lazy(), text=False)]


def brought(source: str | Path, progress: Progress = QUIET) -> tuple[str, Snapshot | None]:
    """The local name of a path or URL, and the snapshot of it where it lay in object storage.

    Raises what `storage.inputs.bring` does, and UsageError for a URL with a secret in it.
    """
    name = str(source)
    refuse_secrets(name)
    is_file = ending_of(name) in all_endings()
    if not is_object(name) or (not is_file and remote_iceberg(name)):
        return local_path(name), None
    snapshot = bring(name, _is_wanted, progress)
    return snapshot.path, snapshot


def urls_of(source: Source) -> tuple[str, ...]:
    """What of a source `brought` copies to this machine."""
    if isinstance(source, str | Path):
        source = [source]
    if not isinstance(source, Sequence):
        return ()
    return tuple(str(name) for name in source if is_object(str(name)))


def _is_wanted(key: str) -> bool:
    """Whether an object below a folder is a file of a log or table, by its key there."""
    if table_key(key):
        return True
    hidden = any(name.startswith((".", "_")) for name in key.split("/"))
    return ending_of(key) in all_endings() and not hidden


def _open_named(sources: Sequence[str | Path], options: TextOptions) -> list[Part]:
    """The parts of files, folders, globs and URLs."""
    paths = []
    snapshots = []
    for source in sources:
        path, snapshot = brought(source)
        paths.append(path)
        if snapshot is not None:
            snapshots.append(snapshot)
    with _by_url(snapshots):
        names = []
        for path in paths:
            names += list_files(path)
        parts = _open_files(names, _partition_root(*paths), options)
    return [replace(log_part, name=_named(log_part.name, snapshots)) for log_part in parts]


def _named(text: str, snapshots: Sequence[Snapshot]) -> str:
    """A text with URLs where it names copies of what they lead to."""
    for snapshot in snapshots:
        text = snapshot.named(text)
    return text


@contextmanager
def _by_url(snapshots: Sequence[Snapshot]) -> Iterator[None]:
    """Errors name the URL of a file rather than its copy."""
    try:
        yield
    except DataError as error:
        if not snapshots:
            raise
        message = _named(error.message, snapshots)
        raise DataError(message, _named(error.remedy, snapshots)) from error


def list_files(source: str | Path) -> list[str]:
    """Files named by a path, folder, glob or URL. Raises DataError when there is none."""
    name = str(source)
    if is_remote(name):
        return [name]
    path = Path(name)
    if path.is_dir():
        return [name] if table_format_of(path) else _list_folder(path)
    if path.exists():
        return [name]
    matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (Path.glob refuses absolute patterns)
    if not matches:
        raise DataError(
            f"there is no file {name!r}",
            "Check the path; quote a glob so that the shell leaves it alone",
        )
    return [match for match in matches if Path(match).is_file()]


def _list_folder(folder: Path) -> list[str]:
    files = []
    for file in sorted(folder.rglob("*")):
        hidden = any(name.startswith((".", "_")) for name in file.relative_to(folder).parts)
        if ending_of(file.name) in all_endings() and not hidden and file.is_file():
            files.append(file)
    usual = [file for file in files if ending_of(file.name) in endings_in_folders()]
    files = usual or files
    if not files:
        raise DataError(f"{str(folder)!r} holds no log file", f"Wanted: {', '.join(all_endings())}")
    formats = sorted({format_of(str(file)).name for file in files})
    if len(formats) > 1:
        raise DataError(
            f"{str(folder)!r} holds {' and '.join(formats)} files",
            f"Name one kind: '{folder}/*.csv'",
        )
    return [str(file) for file in files]


def _open_files(names: list[str], root: Path | None, options: TextOptions) -> list[Part]:
    parts = []
    for name in names:
        table = table_format_of(name)
        if table is not None:
            parts.append(Part(name, table.scan(name), text=False))
            continue
        file_format = format_of(name)
        frame = file_format.scan(name, options)
        text = file_format.text and not (options.typed and file_format.name == "jsonl")
        parts.append(Part(name, _with_partitions(frame, name, root), text))
    return parts


def _partition_root(*sources: str | Path) -> Path | None:
    """The folder below which folders called column=value make columns; None for a single file."""
    names = [str(source) for source in sources if not is_remote(str(source))]
    if not names or (len(names) == 1 and Path(names[0]).is_file()):
        return None
    if len(names) == 1:
        return Path(*_levels_above_pattern(names[0]))
    common = []
    for level in zip(*[_levels_above_pattern(name) for name in names], strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return Path(*common)


def _levels_above_pattern(name: str) -> list[str]:
    """Folders of a path that stand above its file, or above the first of them that is a pattern."""
    path = Path(name)
    if path.is_dir():
        return list(path.parts)
    levels = []
    for level in path.parent.parts:
        if glob.has_magic(level) and not path.exists():
            break
        levels.append(level)
    return levels


def _with_partitions(frame: pl.LazyFrame, name: str, root: Path | None) -> pl.LazyFrame:
    """The rows of a file with a column of text for each folder column=value between it and `root`.

    A column that the file has itself stays.
    """
    if root is None or is_remote(name):
        return frame
    values = {}
    for level in Path(name).parent.relative_to(root).parts:
        partition = _PARTITION.fullmatch(level)
        if partition:
            values[partition[1]] = unquote(partition[2])
    if not values:
        return frame
    columns = frame.collect_schema().names()
    added = []
    for column, value in values.items():
        if column not in columns:
            known = None if value == _NULL_PARTITION else value
            added.append(pl.lit(known, dtype=pl.String).alias(column))
    return frame.with_columns(added)


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

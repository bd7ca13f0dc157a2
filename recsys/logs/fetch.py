"""Public logs: descriptors (data/sources/*.toml), and fetching one into Parquet files with standard
columns.
"""

import io
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.core.artefacts import atomic_file, read_json, write_json
from recsys.core.errors import DataError, UsageError, nearest
from recsys.core.progress import QUIET, Progress
from recsys.core.tables import TIME
from recsys.logs.download import Moved, download, verify
from recsys.logs.packed import open_bytes
from recsys.logs.read import explained
from recsys.logs.text import BROKEN, TextOptions, scan_text


class Table(BaseModel):
    """One text table of a source and how it becomes Parquet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    member: str | None = None
    """File inside the archive; absent when the address is the table itself."""
    separator: str | None = None
    encoding: str = "utf-8"
    quoted: bool = True
    columns: list[str] | None = None
    """Column names when there is no header line."""
    rename: dict[str, str] = {}
    lists: dict[str, str] = {}
    """Columns that hold several values, and what stands between these."""
    flags: dict[str, list[str]] = {}
    """New list column → the 0/1 columns that become its values."""
    time_format: str | None = None
    """Of the timestamp column, when it is text other than ISO (strftime codes, UTC)."""
    keep: list[str] | None = None


class Descriptor(BaseModel):
    """Where a public log is and what is known about it. checksum: as `checksum_source` states it,
    never our guess.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    homepage: str
    address: str
    bytes: int | None = None
    checksum: str | None = None
    checksum_source: str | None = None
    licence: str
    citation: str
    log: Table
    items: Table | None = None
    users: Table | None = None


def read_descriptor(path: Path) -> Descriptor:
    """The descriptor in a TOML file. Raises DataError when it is not one."""
    try:
        return Descriptor.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"{path} is not a source descriptor: {error}", "See data/sources for examples"
        ) from error


def find_descriptor(name: str, folder: Path) -> Descriptor:
    """The descriptor called `name` among folder/*.toml. Raises UsageError listing what there is."""
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise UsageError(
            f"no source is called {name!r}",
            f"{nearest(name, known)} Known: {', '.join(known)}".strip(),
        )
    return read_descriptor(folder / f"{name}.toml")


def fetch(source: Descriptor, folder: Path, progress: Progress = QUIET) -> Path:
    """Download, verify and convert a source; returns `folder`, which then holds
    interactions.parquet and the side tables.

    source.json there records address, checksum, size and terms at the first fetch; later ones must
    agree with it. Raises DataError for a file that is not the expected one, MachineError when it
    cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "source.json"
    recorded = read_json(record)["checksum"] if record.exists() else None
    archive = folder / PurePosixPath(source.address).name
    checksum = source.checksum or recorded
    if archive.exists() and checksum and verify(archive, checksum):
        fetched_sha256 = recorded or checksum
    else:
        progress.say(f"fetching {source.address}. Terms: {source.licence}", address=source.address)
        fetched_sha256 = download(source.address, archive, checksum, _told(progress, archive.name))
    for name, table in {
        "interactions": source.log,
        "items": source.items,
        "users": source.users,
    }.items():
        if table:
            _convert(archive, table, folder / f"{name}.parquet")
    if recorded is None:
        write_json(record, _facts(source, fetched_sha256, archive))
    progress.say(f"{folder} holds the log and its tables", folder=str(folder))
    return folder


def _told(progress: Progress, name: str) -> Moved:
    """Says how far a download is, at every tenth of it."""
    tenths = [0]

    def moved(done: int, expected: int | None) -> None:
        tenth = 10 * done // expected if expected else 0
        if tenth > tenths[0]:
            tenths[0] = tenth
            progress.say(f"{name}: {tenth}0 %", done=done, expected=expected)

    return moved


def _facts(source: Descriptor, checksum: str, archive: Path) -> dict[str, Any]:
    described = source.model_dump(
        include={"title", "homepage", "address", "licence", "citation", "checksum_source"}
    )
    return described | {
        "checksum": checksum,
        "bytes": archive.stat().st_size,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _convert(archive: Path, table: Table, out: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "table.csv"
        _unpack(archive, table, text)
        columns = tuple(table.columns) if table.columns else None
        options = TextOptions(table.separator, columns, quoted=table.quoted)
        with explained():
            frame = _shape(scan_text(str(text), options), table).collect()
    with atomic_file(out) as file:
        frame.write_parquet(file, compression="zstd")


def _unpack(archive: Path, table: Table, out: Path) -> None:
    """Copy one member, found by its exact name, as UTF-8: no path of an archive is ever written to."""
    with (
        _member(archive, table.member) as stream,
        out.open("w", encoding="utf-8", newline="") as text,
    ):
        shutil.copyfileobj(io.TextIOWrapper(stream, encoding=table.encoding, newline=""), text)


@contextmanager
def _member(archive: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with open_bytes(str(archive)) as stream:
            yield stream
        return
    try:
        with zipfile.ZipFile(archive) as packed, packed.open(member) as stream:
            yield stream
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(
            f"{archive.name} holds no {member!r}: {error}",
            "Its publisher changed the archive: look at the homepage",
        ) from error


def _shape(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    frame = frame.drop(BROKEN).rename(table.rename)
    for column, separator in table.lists.items():
        frame = frame.with_columns(pl.col(column).str.split(separator))
    for column, names in table.flags.items():
        values = [pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in names]
        frame = frame.with_columns(pl.concat_list(values).list.drop_nulls().alias(column))
    if table.time_format:
        time = pl.col(TIME).str.to_datetime(table.time_format, strict=False)
        frame = frame.with_columns(time.dt.epoch("s"))
    return frame.select(table.keep) if table.keep else frame

"""Rows of a database as a log: `data.query` is asked once, and its rows are streamed into a file that
is read like any other.

The file makes what is read one thing: reading looks at a log several times, and a table that is
written to meanwhile answers differently each time. It is removed when the reading is done.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.core.addresses import is_url, local_path
from recsys.core.config import DataConfig
from recsys.core.errors import ConfigError, DataError, MachineError
from recsys.core.progress import QUIET, Progress
from recsys.core.table_files import scan_parquet
from recsys.logs.sources import Part, Source, brought
from recsys.logs.text import BROKEN
from recsys.storage.cache import cache_folder

BATCH_ROWS = 100_000
_ROWS_BETWEEN_LINES = 5_000_000
_SQLITE = b"SQLite format 3"
_DUCKDB = b"DUCK"
_INSTALL = 'pip install "recsys[sql]"'
_WRITE = "Set {name} to a URL: postgresql://user:password@host/database, sqlite:///FILE or duckdb:///FILE"


@dataclass(frozen=True)
class Answer:
    """Rows of a query as they come.

    schema: of the batches.
    batches: of some rows each.
    text: whether all columns hold text as written.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    text: bool


@contextmanager
def log_of(data: DataConfig, progress: Progress = QUIET) -> Iterator[Source]:
    """What the configuration names as its log: files, or the rows of its query, which are there until
    the block ends.

    Raises ConfigError for no log and for two, DataError for a query without rows or one that the
    database refuses, MachineError for a database that cannot be reached.
    """
    query = query_of(data)
    if query is None:
        if data.log is None:
            raise ConfigError(
                "the configuration names no log", "Give --log FILE, or data.log in the TOML file"
            )
        yield data.log
        return
    with tempfile.TemporaryDirectory(prefix="query-", dir=cache_folder("queries")) as folder:
        yield _spooled(query, data, Path(folder) / "rows.parquet", progress)


def query_of(data: DataConfig) -> str | None:
    """The text of the query; None where the log is files. Raises ConfigError for both or half."""
    if data.query is None and data.query_file is None:
        return None
    if data.log is not None or (data.query is not None and data.query_file is not None):
        raise ConfigError(
            "the configuration names two logs",
            "Give one of data.log, data.query and data.query_file",
        )
    if (data.connection_env is None) == (data.database is None):
        raise ConfigError(
            "a query is asked of one database",
            "Give data.connection_env, the variable that holds its URL, or data.database, a file",
        )
    if data.query is not None:
        return data.query
    try:
        return Path(str(data.query_file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read data.query_file = {data.query_file!r}: {error}", "Name a file of SQL"
        ) from None


def _spooled(query: str, data: DataConfig, path: Path, progress: Progress) -> Part:
    """The rows of a query as the part of a log."""
    name = data.database or data.connection_env
    what = f"the query of {name}"
    with _database(data).ask(query) as answer:
        num_rows = _write(answer, path, what, progress)
    if not num_rows:
        raise DataError(f"{what} returned no rows", "Look at its conditions, and at the table")
    progress.say(f"{what} returned {num_rows:,} rows", rows=num_rows)
    rows = scan_parquet(path)
    if answer.text:
        rows = rows.with_columns(pl.lit(False).alias(BROKEN))
    return Part(what, rows, answer.text)


def _write(answer: Answer, path: Path, what: str, progress: Progress) -> int:
    """Stream batches into a Parquet file; returns how many rows there were."""
    num_rows, told = 0, 0
    with pq.ParquetWriter(path, answer.schema, compression="zstd") as writer:
        for batch in answer.batches:
            writer.write_batch(batch)
            num_rows += batch.num_rows
            if num_rows - told >= _ROWS_BETWEEN_LINES:
                told = num_rows
                progress.say(f"{what}: {num_rows:,} rows so far", rows=num_rows)
    return num_rows


class _Duckdb:
    """A file of DuckDB, opened for reading; ":memory:" to ask files."""

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name

    @contextmanager
    def ask(self, query: str) -> Iterator[Answer]:
        try:
            import duckdb
        except ImportError as error:
            raise _missing(self._name, "duckdb", error) from None
        try:
            is_file = self._path != ":memory:"
            with closing(duckdb.connect(self._path, read_only=is_file)) as connection:
                relation = connection.sql(query)
                if relation is None:
                    raise _no_rows(self._name)
                reader = relation.to_arrow_reader(BATCH_ROWS)
                yield Answer(reader.schema, iter(reader), text=False)
        except duckdb.Error as error:
            raise _refused(self._name, error) from None


class _Sqlite:
    """A file of SQLite, opened for reading. Its columns hold values of any type, so all are read as
    text, like those of a CSV file.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name

    @contextmanager
    def ask(self, query: str) -> Iterator[Answer]:
        try:
            file = Path(self._path).resolve().as_uri()
            with closing(sqlite3.connect(f"{file}?mode=ro", uri=True)) as connection:
                cursor = connection.execute(query)
                if cursor.description is None:
                    raise _no_rows(self._name)
                names = [column[0] for column in cursor.description]
                schema = pa.schema([pa.field(name, pa.string()) for name in names])
                yield Answer(schema, _text_batches(cursor, schema), text=True)
        except sqlite3.Error as error:
            raise _refused(self._name, error) from None


class _Postgres:
    """A PostgreSQL server, asked through ADBC, which streams batches of Arrow."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name

    @contextmanager
    def ask(self, query: str) -> Iterator[Answer]:
        try:
            from adbc_driver_manager import Error
            from adbc_driver_postgresql import dbapi
        except ImportError as error:
            raise _missing(self._name, "adbc-driver-postgresql", error) from None
        try:
            with dbapi.connect(self._url) as connection, connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(query)
                reader = cursor.fetch_record_batch()
                schema = pa.schema([_plain(field) for field in reader.schema])
                batches = (_with_plain_types(batch, schema) for batch in reader)
                yield Answer(schema, batches, text=False)
        except Error as error:
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> DataError | MachineError:
        """The password stands in no message of libpq; it is taken out in any case."""
        text = str(error)
        password = urlsplit(self._url).password
        for secret in (self._url, password, unquote(password or "")):
            if secret and len(secret) > 3:
                text = text.replace(secret, "…")
        if "Failed to connect" in text or "connect" in text.split("\n")[0]:
            parts = urlsplit(self._url)
            return MachineError(
                f"cannot reach the database of {self._name} at {parts.hostname}:{parts.port or 5432}: "
                f"{_reason(text)}",
                "Is it running, and are user, password and database right?",
            )
        return _refused(self._name, RuntimeError(_reason(text)))


def _database(data: DataConfig) -> "_Duckdb | _Sqlite | _Postgres":
    """What a query is asked of. Raises ConfigError and DataError for what cannot be."""
    if data.database is not None:
        return _file(brought(data.database)[0], data.database)
    name = str(data.connection_env)
    url = os.environ.get(name)
    if not url:
        raise MachineError(f"the environment variable {name} is not set", _WRITE.format(name=name))
    scheme = url.partition("://")[0].lower() if is_url(url) else ""
    if scheme in ("postgresql", "postgres"):
        return _Postgres(url, name)
    if scheme in ("duckdb", "sqlite"):
        path = unquote(urlsplit(url).path)[1:]
        if scheme == "duckdb" and path in ("", ":memory:"):
            return _Duckdb(":memory:", name)
        _require_file(path, name)
        return _Duckdb(path, name) if scheme == "duckdb" else _Sqlite(path, name)
    raise ConfigError(f"{name} names a database of an unknown kind", _WRITE.format(name=name))


def _file(path: str, name: str) -> "_Duckdb | _Sqlite":
    """A database in a file, whose first bytes say of which kind."""
    path = local_path(path)
    _require_file(path, name)
    with Path(path).open("rb") as stream:
        start = stream.read(16)
    if start.startswith(_SQLITE):
        return _Sqlite(path, name)
    if start[8:12] == _DUCKDB:
        return _Duckdb(path, name)
    raise DataError(f"{name!r} is no file of DuckDB or SQLite", "Name one in data.database")


def _require_file(path: str, name: str) -> None:
    if not Path(path).is_file():
        raise DataError(f"there is no database file {path!r} (of {name})", "Check the path")


def _text_batches(cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while rows := cursor.fetchmany(BATCH_ROWS):
        columns = []
        for values in zip(*rows, strict=True):
            columns.append(pa.array([_text(value) for value in values], pa.string()))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _text(value: Any) -> str | None:
    """A value as it would stand in a text file."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return repr(value)


def _plain(field: pa.Field) -> pa.Field:
    """PostgreSQL's own types, such as numeric, come as text with a name; a uuid as bytes."""
    if isinstance(field.type, pa.UuidType):
        return pa.field(field.name, pa.string())
    if isinstance(field.type, pa.BaseExtensionType):
        return pa.field(field.name, field.type.storage_type)
    return pa.field(field.name, field.type)


def _with_plain_types(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for column in batch.columns:
        if isinstance(column.type, pa.UuidType):
            texts = [None if value is None else str(value) for value in column.to_pylist()]
            column = pa.array(texts, pa.string())
        elif isinstance(column, pa.ExtensionArray):
            column = column.storage
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _missing(name: str, package: str, error: ImportError) -> MachineError:
    return MachineError(
        f"the database of {name} needs {package}, which is not installed ({error})", _INSTALL
    )


def _no_rows(name: str) -> DataError:
    return DataError(f"the query of {name} is none that returns rows", "Write a SELECT")


def _refused(name: str, error: Exception) -> DataError:
    first = str(error).strip().split("\n")[0]
    return DataError(f"the database of {name} refuses the query: {first}", "Mend data.query")


def _reason(text: str) -> str:
    """What the server says, without the words of the driver around it."""
    lines = [line.strip() for line in text.strip().split("\n") if line.strip()]
    for line in lines:
        for mark in ("FATAL:", "ERROR:"):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[0].rpartition("failed: ")[2] if lines else "no reason given"

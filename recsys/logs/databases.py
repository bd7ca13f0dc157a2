"""Databases that a query is asked of: DuckDB, SQLite, PostgreSQL, MySQL and MariaDB, each of which
streams its rows in batches of Arrow.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from recsys.core.addresses import is_url, local_path
from recsys.core.config import DataConfig
from recsys.core.errors import ConfigError, DataError, MachineError
from recsys.logs.sources import brought

BATCH_ROWS = 100_000
Since: TypeAlias = "str | int | None"
"""What :since stands for in a query; None where it has none."""

_SINCE = re.compile(r"(?<![:\w]):since\b")
_SQLITE = b"SQLite format 3"
_DUCKDB = b"DUCK"
_INSTALL = 'pip install "recsys[sql]"'
_URLS = "postgresql://user:password@host/database, mysql://user:password@host/database, sqlite:///FILE or duckdb:///FILE"
_WRITE = f"Set {{name}} to a URL: {_URLS}"
_MYSQL_UNREACHABLE = (1044, 1045, 1049, 2003, 2005, 2006, 2013, 2026)
_SECONDS = 10  # until a server that does not answer is given up


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


class Database(Protocol):
    """What can be asked."""

    def ask(self, query: str, since: Since = None) -> AbstractContextManager[Answer]:
        """The rows of a query, until the block ends. Raises DataError for one that is refused,
        MachineError for a database that cannot be reached.
        """
        ...


def has_since(query: str) -> bool:
    """Whether a query asks for the rows since a moment."""
    return _SINCE.search(query) is not None


class _Duckdb:
    """A file of DuckDB, opened for reading; ":memory:" to ask files."""

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name

    @contextmanager
    def ask(self, query: str, since: Since = None) -> Iterator[Answer]:
        try:
            import duckdb
        except ImportError as error:
            raise _missing(self._name, "duckdb", error) from None
        try:
            is_file = self._path != ":memory:"
            with closing(duckdb.connect(self._path, read_only=is_file)) as connection:
                relation = connection.sql(_marked(query, "$since"), params=_named(since))
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
    def ask(self, query: str, since: Since = None) -> Iterator[Answer]:
        try:
            file = Path(self._path).resolve().as_uri()
            with closing(sqlite3.connect(f"{file}?mode=ro", uri=True)) as connection:
                cursor = connection.execute(query, _named(since) or {})
                yield _text_answer(cursor, self._name)
        except sqlite3.Error as error:
            raise _refused(self._name, error) from None


class _Postgres:
    """A PostgreSQL server, asked through ADBC, which streams batches of Arrow."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name

    @contextmanager
    def ask(self, query: str, since: Since = None) -> Iterator[Answer]:
        try:
            from adbc_driver_manager import Error
            from adbc_driver_postgresql import dbapi
        except ImportError as error:
            raise _missing(self._name, "adbc-driver-postgresql", error) from None
        try:
            with dbapi.connect(self._url) as connection, connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(_marked(query, "$1"), None if since is None else (since,))
                reader = cursor.fetch_record_batch()
                schema = pa.schema([_plain(field) for field in reader.schema])
                batches = (_with_plain_types(batch, schema) for batch in reader)
                yield Answer(schema, batches, text=False)
        except Error as error:
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> DataError | MachineError:
        """The password stands in no message of libpq; it is taken out in any case."""
        text = _without_secrets(str(error), self._url)
        if "Failed to connect" in text or "connect" in text.split("\n")[0]:
            return _unreachable(self._name, self._url, 5432, _reason(text))
        return _refused(self._name, RuntimeError(_reason(text)))


class _Mysql:
    """A server of MySQL or MariaDB. It is asked by a driver of Python alone, whose rows are taken as
    the text that the server sends, like those of a CSV file.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name

    @contextmanager
    def ask(self, query: str, since: Since = None) -> Iterator[Answer]:
        try:
            import pymysql
            from pymysql.cursors import SSCursor
        except ImportError as error:
            raise _missing(self._name, "pymysql", error) from None
        parts = urlsplit(self._url)
        try:
            with (
                pymysql.connect(
                    host=parts.hostname,
                    port=parts.port or 3306,
                    user=unquote(parts.username or ""),
                    password=unquote(parts.password or ""),
                    database=unquote(parts.path)[1:] or None,
                    charset="utf8mb4",
                    conv=pymysql.converters.encoders,  # values are sent, and none is read
                    connect_timeout=_SECONDS,
                ) as connection,
                connection.cursor(SSCursor) as cursor,
            ):
                cursor.execute("START TRANSACTION READ ONLY")
                # The driver puts parameters in by %, where there are any.
                escaped = query if since is None else query.replace("%", "%%")
                cursor.execute(_marked(escaped, "%(since)s"), _named(since))
                yield _text_answer(cursor, self._name)
        except pymysql.Error as error:
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> DataError | MachineError:
        code, text = (*error.args, "", "")[:2]
        text = _without_secrets(str(text), self._url)
        if code in _MYSQL_UNREACHABLE:
            return _unreachable(self._name, self._url, 3306, text)
        return _refused(self._name, RuntimeError(text))


def database_of(data: DataConfig) -> Database:
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
    if scheme in ("mysql", "mariadb"):
        return _Mysql(url, name)
    if scheme in ("duckdb", "sqlite"):
        path = unquote(urlsplit(url).path)[1:]
        if scheme == "duckdb" and path in ("", ":memory:"):
            return _Duckdb(":memory:", name)
        _require_file(path, name)
        return _Duckdb(path, name) if scheme == "duckdb" else _Sqlite(path, name)
    raise ConfigError(f"{name} names a database of an unknown kind", _WRITE.format(name=name))


def place_of(data: DataConfig) -> str:
    """Which database it is, without what stands in its URL beside."""
    if data.database is not None:
        return data.database
    parts = urlsplit(os.environ.get(str(data.connection_env), ""))
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}{parts.path}"


def _file(path: str, name: str) -> Database:
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


def _marked(query: str, mark: str) -> str:
    """A query whose parameter is written as its database wants it."""
    return _SINCE.sub(lambda found: mark, query)


def _named(since: Since) -> dict[str, str | int] | None:
    return None if since is None else {"since": since}


def _text_answer(cursor: Any, name: str) -> Answer:
    """What a cursor of Python has found, as text. Raises DataError where it was asked for no rows."""
    if not cursor.description:
        raise _no_rows(name)
    schema = pa.schema([pa.field(column[0], pa.string()) for column in cursor.description])
    return Answer(schema, _text_batches(cursor, schema), text=True)


def _text_batches(cursor: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
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


def _without_secrets(text: str, url: str) -> str:
    password = urlsplit(url).password
    for secret in (url, password, unquote(password or "")):
        # Shorter ones are in every other word of a message.
        if secret and len(secret) > 3:
            text = text.replace(secret, "…")
    return text


def _unreachable(name: str, url: str, port: int, why: str) -> MachineError:
    parts = urlsplit(url)
    return MachineError(
        f"cannot reach the database of {name} at {parts.hostname}:{parts.port or port}: {why}",
        "Is it running, and are user, password and database right?",
    )


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

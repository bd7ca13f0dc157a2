"""Rows of a database as a log: `data.query` is asked once, and its rows are streamed into a file that
is read like any other.

The file makes what is read one thing: reading looks at a log several times, and a table that is
written to meanwhile answers differently each time. It is removed when the reading is done.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from recsys.core.artefacts import atomic_file, exclusive
from recsys.core.config import DataConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.progress import QUIET, Progress
from recsys.core.table_files import scan_parquet
from recsys.logs.databases import Answer, Since, database_of, has_since, place_of
from recsys.logs.since import Cut, cut_of
from recsys.logs.sources import Part, Source
from recsys.logs.text import BROKEN
from recsys.storage.cache import cache_folder, folder_name

_ROWS_BETWEEN_LINES = 5_000_000


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
        path = Path(folder) / "rows.parquet"
        if has_since(query):
            yield _with_kept(query, data, path, progress)
        else:
            yield _spooled(query, data, path, progress)


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
    query = data.query if data.query is not None else _text_of(data)
    if has_since(query) != (data.since is not None):
        raise ConfigError(
            "data.since and :since in the query go together",
            'Write for example: WHERE bought_at >= :since, and since = "2024-01-01"',
        )
    return query


def _text_of(data: DataConfig) -> str:
    try:
        return Path(str(data.query_file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read data.query_file = {data.query_file!r}: {error}", "Name a file of SQL"
        ) from None


def _spooled(query: str, data: DataConfig, path: Path, progress: Progress) -> Part:
    """The rows of a query as the part of a log."""
    what = _what(data)
    num_rows, is_text = _ask(query, data, None, path, progress)
    if not num_rows:
        raise _nothing(what)
    progress.say(f"{what} returned {num_rows:,} rows", rows=num_rows)
    return _part(what, path, is_text)


def _with_kept(query: str, data: DataConfig, path: Path, progress: Progress) -> Part:
    """The same of a query with :since. The rows of the run before are kept in the cache, and those
    since a while before the last of them are asked for again, and take their place.
    """
    what = _what(data)
    identity = repr((query, data.since, data.since_days, data.time_col, data.time_unit))
    folder = cache_folder("queries", folder_name(f"{place_of(data)} {identity}"))
    kept_file = folder / "rows.parquet"
    with exclusive(folder / ".lock", "", "", wait=True):
        cut = cut_of(scan_parquet(kept_file), data) if kept_file.exists() else None
        since = data.since if cut is None else cut.since
        num_new, is_text = _ask(query, data, since, path, progress)
        if cut is not None and _schema(kept_file) != _schema(path):
            progress.say(f"{what} has other columns than before: all rows are asked for")
            cut = None
            num_new, is_text = _ask(query, data, data.since, path, progress)
        num_kept = _join(kept_file, path, cut)
        if not num_new + num_kept:
            raise _nothing(what)
        path.unlink()
        os.link(kept_file, path)  # what is read stays as it is, whoever asks meanwhile
    line = f"{what} returned {num_new:,} rows since {cut.since if cut else data.since}"
    progress.say(f"{line}; {num_kept:,} of before are kept", rows=num_new, kept=num_kept)
    return _part(what, path, is_text)


def _join(kept_file: Path, new_file: Path, cut: Cut | None) -> int:
    """Put new rows behind those kept from before the cut, in `kept_file`; how many these are."""
    frames = [scan_parquet(new_file)]
    num_kept = 0
    if cut is not None:
        before = scan_parquet(kept_file).filter(cut.is_before)
        num_kept = before.select(pl.len()).collect().item()
        frames = [before, scan_parquet(new_file).filter(~cut.is_before)]
    with atomic_file(kept_file) as fresh:
        pl.concat(frames).sink_parquet(fresh, compression="zstd")
    return int(num_kept)


def _schema(path: Path) -> pl.Schema:
    return scan_parquet(path).collect_schema()


def _what(data: DataConfig) -> str:
    return f"the query of {data.database or data.connection_env}"


def _nothing(what: str) -> DataError:
    return DataError(f"{what} returned no rows", "Look at its conditions, and at the table")


def _part(what: str, path: Path, is_text: bool) -> Part:
    rows = scan_parquet(path)
    if is_text:
        rows = rows.with_columns(pl.lit(False).alias(BROKEN))
    return Part(what, rows, is_text)


def _ask(
    query: str, data: DataConfig, since: Since, path: Path, progress: Progress
) -> tuple[int, bool]:
    """Write the answer down; how many rows there are, and whether they are text."""
    with database_of(data).ask(query, since) as answer:
        return _write(answer, path, _what(data), progress), answer.text


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

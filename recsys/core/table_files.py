"""Tables in files whose paths are known: a path is taken as it stands, never as a pattern.

Polars expands `[ ] * ?` in paths by itself, so that a run folder called "run [v2]" could not be read
back. Everything that reads tables of run folders and bundles goes through these functions; logs,
which may be given as patterns, have readers of their own.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl


def read_parquet(path: str | Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table in one Parquet file, or these columns of it."""
    selected = None if columns is None else list(columns)
    # A folder in the path that is called "seed=3", say, is no column of the table.
    return pl.read_parquet(path, columns=selected, glob=False, hive_partitioning=False)


def scan_parquet(path: str | Path | Sequence[Path]) -> pl.LazyFrame:
    """The rows of one Parquet file, or of several of the same columns, not read yet."""
    # A text is a sequence as well, of characters.
    source = path if isinstance(path, str | Path) else list(path)
    return pl.scan_parquet(source, glob=False, hive_partitioning=False)


def read_arrow(path: str | Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table in one Arrow IPC file, or these columns of it."""
    rows = pl.scan_ipc(path, glob=False, hive_partitioning=False)
    if columns is not None:
        rows = rows.select(columns)
    return rows.collect()


def num_rows_of_arrow(path: str | Path) -> int:
    """Of one Arrow IPC file, without reading them."""
    rows = pl.scan_ipc(path, glob=False, hive_partitioning=False)
    count = rows.select(pl.len()).collect()
    return int(count.item())

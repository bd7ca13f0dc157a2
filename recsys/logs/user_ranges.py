"""Rows of some users out of tables that are in order of users: what a step over a bucket reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recsys.core.table_files import scan_parquet
from recsys.core.tables import USER


class UserRange(NamedTuple):
    """User codes from `first` to the one before `end`."""

    first: int
    end: int


def ranges_of(parts: Sequence[Path], num_users: int) -> list[UserRange]:
    """The users of each part of an ingested log, from the first part on."""
    starts = []
    for file in parts:
        # In order of users, the first row has the part's first user.
        first_row = scan_parquet(file).select(USER).head(1)
        starts.append(int(first_row.collect().item()))
    ends = [*starts[1:], num_users]
    return [UserRange(first, end) for first, end in zip(starts, ends, strict=True)]


def rows_of(path: Path, users: UserRange) -> pl.DataFrame:
    """The rows of some users; stretches of the file that hold none of them are not read."""
    is_theirs = (pl.col(USER) >= users.first) & (pl.col(USER) < users.end)
    return scan_parquet(path).filter(is_theirs).collect()

"""From where on a query is asked again: a moment before the last row that is kept, as the database is
to compare it with.
"""

import re
import time
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.errors import ConfigError
from recsys.core.tables import TIME
from recsys.logs.times import PER_SECOND, Unit, decide_unit, time_column

_SAMPLE_ROWS = 10_000
_SECONDS_A_DAY = 86_400
_OFFSET = re.compile(r".*[+-]\d{2}(:?\d{2})?\s*")
_DAY, _MOMENT = "%Y-%m-%d", "%H:%M:%S"


class Cut(NamedTuple):
    """is_before: of a row, whether it stays; one whose time cannot be read comes anew each time.
    since: the value of :since.
    """

    is_before: pl.Expr
    since: str | int


def cut_of(rows: pl.LazyFrame, data: DataConfig) -> Cut | None:
    """Where to cut kept rows: `data.since_days` before the last of them, or before now, whichever is
    earlier; None where no row has a time.

    Raises ConfigError for rows without a column of times, and for times that :since cannot be written
    as.
    """
    schema = rows.collect_schema()
    column = data.time_col or TIME
    if column not in schema:
        raise ConfigError(
            f"a query with :since has no column {column!r}",
            "Name the one of its times in data.time_col",
        )
    sample = rows.select(column).head(_SAMPLE_ROWS).collect().to_series()
    unit = decide_unit(sample, data.time_unit)
    seconds = time_column(column, schema[column], unit, strict=False).seconds
    last = rows.select(seconds.max()).collect().item()
    if last is None:
        return None
    cut = last
    if unit != "order":
        # A row of the far future would leave out all that comes until then.
        cut = int(min(last, time.time()) - data.since_days * _SECONDS_A_DAY)
    is_before = (seconds < cut).fill_null(False)
    return Cut(is_before, _as_written(cut, sample, schema[column], unit))


def _as_written(cut: int, sample: pl.Series, kind: pl.DataType, unit: Unit) -> str | int:
    """A moment in the form of a column."""
    if unit == "order":
        return cut
    if unit in PER_SECOND:
        return cut * PER_SECOND[unit]
    moment = datetime.fromtimestamp(cut, UTC)
    if kind == pl.Date:
        return moment.strftime(_DAY)
    if isinstance(kind, pl.Datetime):
        zone = "+00:00" if kind.time_zone else ""
        return moment.strftime(f"{_DAY} {_MOMENT}") + zone
    text = str(sample.drop_nulls().last()).strip()
    if unit != "iso" or _OFFSET.fullmatch(text[10:]):
        raise ConfigError(
            f"times such as {text!r} cannot be compared with :since",
            "Select them as timestamps, unix seconds, or ISO text in UTC",
        )
    if len(text) == len("2024-01-31"):
        return moment.strftime(_DAY)
    return moment.strftime(f"{_DAY}{text[10]}{_MOMENT}")

"""Which column of a source is which column of the log, and how values of any type become those of
LOG_SCHEMA.
"""

from dataclasses import dataclass

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.errors import DataError
from recsys.core.ids import id_column
from recsys.core.tables import (
    BEHAVIOR,
    ITEM_ID,
    LOG_SCHEMA,
    RATING,
    TIME,
    USER_ID,
    WEIGHT,
    require_columns,
)
from recsys.logs.numbers import read_number
from recsys.logs.reasons import (
    BEHAVIOR_MISSING,
    BROKEN_LINE,
    ITEM_MISSING,
    USER_MISSING,
    WEIGHT_MISSING,
    WEIGHT_NOT_POSITIVE,
    WEIGHT_UNREADABLE,
    first_reason,
)
from recsys.logs.text import BROKEN
from recsys.logs.times import Unit, time_column

_SETTINGS = {
    USER_ID: "user_col",
    ITEM_ID: "item_col",
    TIME: "time_col",
    BEHAVIOR: "behavior_col",
    WEIGHT: "weight_col",
    RATING: "rating_col",
}
"""What names each column of a log."""


@dataclass(frozen=True)
class Reading:
    """How one part is read.

    names: log column → its column there.
    types: of those columns.
    whole: id columns whose text is like 42.0.
    decimal_commas: columns of numbers written like 4,5.
    """

    names: dict[str, str]
    types: dict[str, pl.DataType]
    text: bool
    whole: frozenset[str]
    unit: Unit | None
    strict_unit: bool
    decimal_commas: frozenset[str] = frozenset()


def map_columns(found: list[str], data: DataConfig, source: str) -> dict[str, str]:
    """Log column → column of the source, in LOG_SCHEMA order; optional ones only when mapped or
    present.

    An optional mapping of "" leaves the column out. Raises DataError for a missing column, naming
    the nearest.
    """
    wanted = {
        TIME: data.time_col,
        BEHAVIOR: data.behavior_col,
        WEIGHT: data.weight_col,
        RATING: data.rating_col,
    }
    names = {USER_ID: data.user_col, ITEM_ID: data.item_col}
    names |= {
        column: column if name is None else name
        for column, name in wanted.items()
        if name or column in found
    }
    names = {
        column: name for column, name in names.items() if name != "" or column in (USER_ID, ITEM_ID)
    }
    names = {column: name for column, name in names.items() if wanted.get(column) != ""}
    require_columns(found, _settings_by_name(names), source)
    if names[USER_ID] == names[ITEM_ID]:
        raise DataError(
            f"user and item are both read from the column {names[USER_ID]!r}",
            "Set user_col and item_col",
        )
    return {column: names[column] for column in LOG_SCHEMA if column in names}


def _settings_by_name(names: dict[str, str]) -> dict[str, str | None]:
    """By column of the source, the setting that names it."""
    settings: dict[str, str | None] = {}
    for column, name in names.items():
        settings.setdefault(name, _SETTINGS[column])
    return settings


def marked_columns(reading: Reading) -> list[pl.Expr]:
    """LOG_SCHEMA columns and REASON from the columns of one part."""
    values, tests = [], [(BROKEN_LINE, pl.col(BROKEN))] if reading.text else []
    for column in reading.names:
        value, why = _read(column, reading)
        values.append(value.cast(LOG_SCHEMA[column]).alias(column))
        tests += why
    return [*values, first_reason(tests)]


def _read(column: str, reading: Reading) -> tuple[pl.Expr, list[tuple[str, pl.Expr]]]:
    raw, kind = pl.col(reading.names[column]), reading.types[column]
    if column in (USER_ID, ITEM_ID):
        text = id_column(raw, kind, column in reading.whole)
        return text, [(USER_MISSING if column == USER_ID else ITEM_MISSING, text.is_null())]
    if column == TIME:
        time = time_column(reading.names[column], kind, reading.unit or "s", reading.strict_unit)
        return time.seconds, time.tests
    if column == BEHAVIOR:
        return raw.cast(pl.String), [(BEHAVIOR_MISSING, raw.is_null())]
    number = read_number(raw, kind, column in reading.decimal_commas)
    if column == WEIGHT:
        return number, [
            (WEIGHT_MISSING, number.is_null()),
            (WEIGHT_UNREADABLE, number.is_nan()),
            (WEIGHT_NOT_POSITIVE, number <= 0),
        ]
    return number, []  # what is no rating is dropped where clean.min_rating asks for one


def require_types(types: dict[str, pl.DataType], names: dict[str, str], source: str) -> None:
    """Raises DataError for a column whose type cannot be read as what it stands for."""
    for column, kind in types.items():
        number = column in (WEIGHT, RATING)
        bad = kind.is_nested() or (
            number and not (kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null))
        )
        bad = bad or (column in (USER_ID, ITEM_ID) and kind.is_temporal())
        if bad:
            wanted = "a number" if number else "text or a number"
            raise DataError(
                f"column {names[column]!r} of {source} is of type {kind}; as {column} it must be {wanted}",
                "Convert the column, or map another one with --*-col",
            )

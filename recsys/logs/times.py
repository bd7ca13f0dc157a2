"""Timestamps of any kind as unix seconds (Int64, UTC): numbers in seconds or milliseconds, ISO
text, dates.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from recsys.core.errors import DataError
from recsys.logs.reasons import TIME_MISSING, TIME_OTHER_UNIT, TIME_UNREADABLE

Unit = Literal["s", "ms", "iso", "native"]

# Numbers that can only be one unit: 1973 to 2286 in seconds, the same in milliseconds, and all
# finer units.
_SECONDS = (1e8, 1e10)
_MILLISECONDS = (1e11, 1e13)
_FINER = (1e14, 1e20)
_LIMIT = 9e18  # inside Int64; infinities become impossible dates instead of nulls

_ISO = (
    r"^\s*(?<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?<clock>\d{2}:\d{2})(?::(?<second>\d{2})(?:[.,]\d+)?)?)?"
    r"\s*(?:[Zz]|UTC|(?<sign>[+-])(?<hours>\d{2}):?(?<minutes>\d{2})?)?\s*$"
)


@dataclass(frozen=True)
class TimeColumn:
    """seconds: the timestamp as Int64, null where there is none. tests: why a row must go, in
    order.
    """

    seconds: pl.Expr
    tests: list[tuple[str, pl.Expr]]


def time_column(name: str, kind: pl.DataType, unit: Unit, strict: bool) -> TimeColumn:
    """The time column `name` of type `kind` read in `unit`; with `strict`, values of the other unit
    are marked.
    """
    raw = pl.col(name)
    if unit == "native":
        return TimeColumn(_native_seconds(raw, kind), [(TIME_MISSING, raw.is_null())])
    if unit == "iso":
        seconds = iso_seconds(raw)
        other = [(TIME_OTHER_UNIT, _number(raw, kind).is_not_null())] if strict else []
        return TimeColumn(
            seconds, [(TIME_MISSING, raw.is_null()), *other, (TIME_UNREADABLE, seconds.is_null())]
        )
    number = _number(raw, kind)
    tests = [(TIME_MISSING, raw.is_null() | number.is_nan().fill_null(False))]
    tests += [(TIME_OTHER_UNIT, _other_unit(raw, number, kind, unit))] if strict else []
    return TimeColumn(_seconds(number, unit), [*tests, (TIME_UNREADABLE, number.is_null())])


def decide_unit(sample: pl.Series, wanted: str) -> Unit:
    """The unit of a column from some of its values, unless `wanted` names it.

    Raises DataError for a type that holds no time, text that is none, and micro- or nanoseconds.
    """
    kind = sample.dtype
    if kind in (pl.Date, pl.Datetime):
        return "native"
    if kind != pl.String and not kind.is_numeric():
        raise DataError(
            f"the time column {sample.name!r} is of type {kind}",
            "Wanted: unix seconds or milliseconds, ISO text or dates",
        )
    if wanted == "iso" and kind != pl.String:
        raise DataError(
            f"the time column {sample.name!r} is of type {kind}, not text",
            'Set data.time_unit = "auto"',
        )
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    return _unit_of_values(sample)


def _unit_of_values(sample: pl.Series) -> Unit:
    raw = pl.col(sample.name)
    number = _number(raw, sample.dtype)
    facts = sample.to_frame().select(
        seconds=number.is_between(*_SECONDS).sum(),
        milliseconds=number.is_between(*_MILLISECONDS).sum(),
        finer=number.abs().is_between(*_FINER).sum(),
        numbers=(number.is_not_null() & number.is_not_nan()).sum(),
        texts=iso_seconds(raw).is_not_null().sum() if sample.dtype == pl.String else pl.lit(0),
        values=raw.is_not_null().sum(),
    )
    count = facts.row(0, named=True)
    if (
        count["values"]
        and sample.dtype == pl.String
        and not count["numbers"]
        and not count["texts"]
    ):
        raise DataError(
            f"the time column {sample.name!r} holds {sample.drop_nulls()[0]!r}, which is no time that can be read",
            "Write unix seconds, milliseconds or ISO text such as 2024-01-31T12:00:00Z, or leave it out with time_col = ''",
        )
    if count["finer"] > count["numbers"] / 2:
        raise DataError(
            f"the time column {sample.name!r} looks like micro- or nanoseconds: {sample.drop_nulls()[0]}",
            "Divide it down to seconds or milliseconds",
        )
    if count["texts"] > count["numbers"]:
        return "iso"
    return "ms" if count["milliseconds"] > count["seconds"] else "s"


def iso_seconds(text: pl.Expr) -> pl.Expr:
    """Unix seconds of ISO 8601 text, fractions cut off; naive text is UTC; null where it is not
    ISO.
    """
    part = text.str.extract_groups(_ISO).struct
    clock = part.field("clock").fill_null("00:00") + ":" + part.field("second").fill_null("00")
    moment = (part.field("date") + "T" + clock).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    hours = part.field("hours").cast(pl.Int64).fill_null(0)
    offset = 3600 * hours + 60 * part.field("minutes").cast(pl.Int64).fill_null(0)
    signed = pl.when(part.field("sign") == "-").then(-offset).otherwise(offset)
    return moment.dt.epoch("s") - signed


def _native_seconds(raw: pl.Expr, kind: pl.DataType) -> pl.Expr:
    moment = raw.cast(pl.Datetime("us")) if kind == pl.Date else raw
    return moment.dt.epoch("s").cast(pl.Int64)


def _number(raw: pl.Expr, kind: pl.DataType) -> pl.Expr:
    text = raw.str.strip_chars() if kind == pl.String else raw
    return text.cast(pl.Float64, strict=False)


def _seconds(number: pl.Expr, unit: Unit) -> pl.Expr:
    """Float64 holds every whole millisecond until the year 287,396, so nothing is lost here."""
    seconds = (number / 1000 if unit == "ms" else number).floor()
    return seconds.clip(-_LIMIT, _LIMIT).cast(pl.Int64, strict=False)


def _other_unit(raw: pl.Expr, number: pl.Expr, kind: pl.DataType, unit: Unit) -> pl.Expr:
    other = number.is_between(*(_MILLISECONDS if unit == "s" else _SECONDS)).fill_null(False)
    return (
        other | (number.is_null() & iso_seconds(raw).is_not_null()) if kind == pl.String else other
    )

"""Timestamps of any kind as unix seconds (Int64, UTC): numbers in seconds or finer units, ISO text,
dates, dates written as digits. Numbers that only say what came after what stay as they are.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from recsys.core.errors import DataError
from recsys.core.interactions import BEHIND_ORDER
from recsys.logs.dates_as_numbers import (
    DIGITS,
    day_count_seconds,
    digit_form,
    digit_seconds,
    require_plain_seconds,
)
from recsys.logs.reasons import (
    TIME_MISSING,
    TIME_OTHER_UNIT,
    TIME_TOO_LARGE,
    TIME_UNREADABLE,
)

Unit = Literal[
    "s",
    "ms",
    "us",
    "ns",
    "excel",
    "days",
    "yyyymmdd",
    "yyyymmddHH",
    "yyyymmddHHMM",
    "yyyymmddHHMMSS",
    "iso",
    "native",
    "order",
    "behind_order",
]
"""How a column of times is read. behind_order: seconds of live events beside a log with an order."""

NUMERIC_NAMES: dict[Unit | None, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "excel": "days of a spreadsheet",
    "days": "days since 1970",
    "yyyymmdd": "dates like 20240131",
    "yyyymmddHH": "hours like 2024013123",
    "yyyymmddHHMM": "minutes like 202401312359",
    "yyyymmddHHMMSS": "seconds like 20240131235959",
    "order": "numbers of an order",
}
"""Units of numbers, in words."""

# Numbers that can only be one unit: 1973 to 2286 in seconds, the same in milliseconds, and all
# finer units.
_SECONDS = (1e8, 1e10)
_MILLISECONDS = (1e11, 1e13)
_FINER = (1e14, 1e20)
_NANOSECONDS = 1e17  # from here on; microseconds below
_LIMIT = 9e18  # inside Int64; infinities become impossible dates instead of nulls
_ORDER = (0, 1e6)  # as seconds, the first eleven days of 1970
_LARGEST_ORDER = BEHIND_ORDER // 2
PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_ISO = (
    r"^\s*(?<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?<clock>\d{2}:\d{2})(?::(?<second>\d{2})(?:[.,]\d+)?)?)?"
    r"\s*(?:[Zz]|UTC|(?<sign>[+-])(?<hours>\d{2}):?(?<minutes>\d{2})?)?\s*$"
)


@dataclass(frozen=True)
class TimeColumn:
    """A column of times, read.

    seconds: the timestamp, or the number in an order, as Int64; null where there is none.
    tests: why a row must go, in order.
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
    number = _number(raw, kind)
    if unit == "order":
        return _order_column(raw, number, kind, strict)
    if unit == "iso":
        seconds = iso_seconds(raw)
        # The first test that holds names the reason: what is missing is not called unreadable.
        tests = [(TIME_MISSING, raw.is_null())]
        if strict:
            tests.append((TIME_OTHER_UNIT, number.is_not_null()))
        return TimeColumn(seconds, [*tests, (TIME_UNREADABLE, seconds.is_null())])
    seconds = _seconds(raw, number, kind, "s" if unit == "behind_order" else unit)
    if unit == "behind_order":
        seconds = seconds + BEHIND_ORDER
    tests = [(TIME_MISSING, raw.is_null() | number.is_nan().fill_null(False))]
    if strict:
        tests.append((TIME_OTHER_UNIT, _other_unit(raw, number, kind, unit)))
    return TimeColumn(seconds, [*tests, (TIME_UNREADABLE, seconds.is_null())])


def _order_column(raw: pl.Expr, number: pl.Expr, kind: pl.DataType, strict: bool) -> TimeColumn:
    """Whole numbers as they stand; with `strict`, those that must be moments are marked."""
    # Text like "42.0" counts as well.
    whole = number.cast(pl.Int64, strict=False)
    order: pl.Expr = pl.when(number == number.floor()).then(whole)
    if kind.is_integer() or kind == pl.String:
        text = raw.str.strip_chars() if kind == pl.String else raw
        # Float64 does not hold every whole number.
        order = pl.coalesce(text.cast(pl.Int64, strict=False), order)
    tests = [(TIME_MISSING, raw.is_null() | number.is_nan().fill_null(False))]
    if strict:
        tests.append((TIME_OTHER_UNIT, _other_unit(raw, number, kind, "order")))
    tests.append((TIME_UNREADABLE, order.is_null()))
    in_range = order.is_between(-_LARGEST_ORDER, _LARGEST_ORDER)
    return TimeColumn(order, [*tests, (TIME_TOO_LARGE, ~in_range)])


def decide_unit(sample: pl.Series, wanted: str) -> Unit:
    """The unit of a column from some of its values, unless `wanted` names it.

    Raises DataError for a type that holds no time, text that is none, micro- and nanoseconds, and
    numbers that look like dates of a form that must be named.
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
    is_text = sample.dtype == pl.String
    facts = sample.to_frame().select(
        seconds=number.is_between(*_SECONDS).sum(),
        milliseconds=number.is_between(*_MILLISECONDS).sum(),
        finer=number.abs().is_between(*_FINER).sum(),
        numbers=(number.is_not_null() & number.is_not_nan()).sum(),
        texts=iso_seconds(raw).is_not_null().sum() if is_text else pl.lit(0),
        values=raw.is_not_null().sum(),
    )
    count = facts.row(0, named=True)
    if count["values"] and is_text and not count["numbers"] and not count["texts"]:
        raise DataError(
            f"the time column {sample.name!r} holds {sample.drop_nulls()[0]!r}, which is no time that can be read",
            "Write unix seconds, milliseconds or ISO text such as 2024-01-31T12:00:00Z, or leave it out with time_col = ''",
        )
    if count["texts"] > count["numbers"]:
        return "iso"
    numbers = sample.to_frame().select(number).to_series()
    numbers = numbers.drop_nulls().drop_nans()
    # Dates written as digits first: by its size, 2024013123 would pass for seconds.
    form = digit_form(numbers)
    if form is not None:
        return form  # type: ignore[return-value]
    if count["finer"] > count["numbers"] / 2:
        raise _finer_unit(sample, numbers)
    if count["milliseconds"] > count["seconds"]:
        return "ms"
    require_plain_seconds(sample.name, numbers)
    return "order" if _is_order(numbers) else "s"


def _is_order(numbers: pl.Series) -> bool:
    """Whether numbers can be no moments: whole and small. One value alone says nothing."""
    is_whole = numbers == numbers.floor()
    is_small = numbers.is_between(*_ORDER, closed="left")
    return numbers.n_unique() > 1 and bool((is_whole & is_small).all())


def _finer_unit(sample: pl.Series, numbers: pl.Series) -> DataError:
    unit = "ns" if float(numbers.abs().median()) >= _NANOSECONDS else "us"  # type: ignore[arg-type]
    return DataError(
        f"the time column {sample.name!r} looks like micro- or nanoseconds: {sample.drop_nulls()[0]}",
        f'Set data.time_unit = "{unit}", or divide it down to seconds or milliseconds',
    )


def iso_seconds(text: pl.Expr) -> pl.Expr:
    """Unix seconds of ISO 8601 text, fractions cut off; naive text is UTC; null where it is not
    ISO.
    """
    field = text.str.extract_groups(_ISO).struct
    minute = field.field("clock").fill_null("00:00")
    second = field.field("second").fill_null("00")
    written = field.field("date") + "T" + minute + ":" + second
    moment = written.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    hours = field.field("hours").cast(pl.Int64).fill_null(0)
    minutes = field.field("minutes").cast(pl.Int64).fill_null(0)
    offset = 3600 * hours + 60 * minutes
    signed = pl.when(field.field("sign") == "-").then(-offset).otherwise(offset)
    # 12:00+02:00 is 10:00 UTC.
    return moment.dt.epoch("s") - signed


def _native_seconds(raw: pl.Expr, kind: pl.DataType) -> pl.Expr:
    moment = raw.cast(pl.Datetime("us")) if kind == pl.Date else raw
    return moment.dt.epoch("s").cast(pl.Int64)


def _number(raw: pl.Expr, kind: pl.DataType) -> pl.Expr:
    text = raw.str.strip_chars() if kind == pl.String else raw
    return text.cast(pl.Float64, strict=False)


def _seconds(raw: pl.Expr, number: pl.Expr, kind: pl.DataType, unit: Unit) -> pl.Expr:
    """Unix seconds of numbers, floored; null where there is no number.

    Float64 holds every whole millisecond until the year 287,396. Finer units are divided as
    integers where they are integers.
    """
    if unit in DIGITS:
        return digit_seconds(number, unit)
    if unit in ("excel", "days"):
        return day_count_seconds(number, unit)
    per_second = PER_SECOND[unit]
    if unit in ("us", "ns") and kind.is_integer():
        return raw.cast(pl.Int64, strict=False) // per_second
    seconds = (number / per_second).floor()
    return seconds.clip(-_LIMIT, _LIMIT).cast(pl.Int64, strict=False)


def _other_unit(raw: pl.Expr, number: pl.Expr, kind: pl.DataType, unit: Unit) -> pl.Expr:
    is_other = pl.lit(False)
    if unit == "s":
        is_other = number.is_between(*_MILLISECONDS).fill_null(False)
    elif unit == "ms":
        is_other = number.is_between(*_SECONDS).fill_null(False)
    elif unit == "order":
        # Seconds and all finer units: positions of an order are smaller.
        is_other = (number >= _SECONDS[0]).fill_null(False)
    if kind == pl.String:
        return is_other | (number.is_null() & iso_seconds(raw).is_not_null())
    return is_other

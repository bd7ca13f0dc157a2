"""Numbers that are dates: 20240131 and longer forms are understood; serials of spreadsheets, counts
of days, and dates without a day or a year are not taken for unix seconds without being told.
"""

import polars as pl

from recsys.core.errors import DataError
from recsys.core.interactions import DAY_SECONDS

DIGITS = ("yyyymmdd", "yyyymmddHH", "yyyymmddHHMM", "yyyymmddHHMMSS")
EXCEL_EPOCH_DAYS = 25_569
"""Days from 1899-12-30, where spreadsheets begin to count, to 1970-01-01."""

_YEARS = (1900, 2100)
_DISTINCT = 3  # a value or two may look like anything
_EXCEL = (30_000, 60_000)  # 1982 to 2064
_EPOCH_DAYS = (10_957, 25_000)  # 2000 to 2038


def digit_form(numbers: pl.Series) -> str | None:
    """The form of DIGITS that every one of these numbers is a valid moment of; None without one."""
    if not len(numbers):
        return None
    # The forms differ in length, so that the first number leaves one at most; none is as long as
    # 1e15, and infinity could not be an integer.
    first = str(int(numbers[0])) if abs(float(numbers[0])) < 1e15 else ""
    for form in DIGITS:
        if len(form) == len(first):
            seconds = digit_seconds(pl.col("number"), form)
            moments = numbers.to_frame("number").select(seconds)
            return None if moments.to_series().null_count() else form
    return None


def digit_seconds(number: pl.Expr, form: str) -> pl.Expr:
    """Unix seconds (UTC) of whole numbers written as `form`; null for what is no such moment."""
    digits = len(form)
    has_digits = number.is_between(10 ** (digits - 1), 10**digits - 1)
    is_whole = number == number.floor()
    text = pl.when(is_whole & has_digits).then(number).cast(pl.Int64).cast(pl.String)
    # Shorter forms begin their day, hour or minute: zeros fill them up to seconds.
    moment = text.str.pad_end(14, "0").str.to_datetime("%Y%m%d%H%M%S", strict=False)
    in_range = moment.dt.year().is_between(*_YEARS)
    return pl.when(in_range).then(moment.dt.epoch("s"))


def day_count_seconds(number: pl.Expr, unit: str) -> pl.Expr:
    """Unix seconds of days since 1899-12-30 ("excel") or 1970-01-01 ("days"), to the nearest second."""
    days = number - EXCEL_EPOCH_DAYS if unit == "excel" else number
    # Far inside Int64: what lies beyond becomes null instead of an error.
    in_range = days.is_between(-1e9, 1e9)
    seconds = (days * DAY_SECONDS).round()
    return pl.when(in_range).then(seconds).cast(pl.Int64)


def require_plain_seconds(column: str, numbers: pl.Series) -> None:
    """Raises DataError when numbers that would be read as unix seconds look like dates."""
    values = numbers.unique()
    if len(values) < _DISTINCT:
        return
    likeness, remedy = _likeness(values)
    if likeness:
        first = float(numbers[0])
        shown = f"{first:.0f}" if first.is_integer() else str(first)
        raise DataError(
            f"the time column {column!r} holds {shown}, which looks like {likeness}",
            f'{remedy}, or data.time_unit = "s" if it is seconds, "order" if it only counts',
        )


_WITHOUT_DAYS = (
    'Write whole dates such as 2024-01-31, or leave the column out with data.time_col = ""'
)


def _likeness(values: pl.Series) -> tuple[str, str]:
    """What distinct numbers look like, and the remedy; empty text for plain seconds."""
    low = float(values.min())  # type: ignore[arg-type]
    high = float(values.max())  # type: ignore[arg-type]
    # Serials of spreadsheets alone may have a fraction, the time of the day.
    if bool((values == values.floor()).all()):
        if _YEARS[0] <= low and high <= _YEARS[1]:
            return "a year", _WITHOUT_DAYS
        if _all_months(values):
            return "a year and a month", _WITHOUT_DAYS
        if _all_days_of_a_year(values):
            return "a month and a day", _WITHOUT_DAYS
        if _EPOCH_DAYS[0] <= low and high <= _EPOCH_DAYS[1]:
            return "days since 1970", 'Set data.time_unit = "days"'
    if _EXCEL[0] <= low and high <= _EXCEL[1]:
        return "dates of a spreadsheet", 'Set data.time_unit = "excel"'
    return "", ""


def _all_months(values: pl.Series) -> bool:
    """Whether all are like 202401."""
    years = values // 100
    months = values % 100
    in_range = years.is_between(*_YEARS) & months.is_between(1, 12)
    return bool(in_range.all())


def _all_days_of_a_year(values: pl.Series) -> bool:
    """Whether all are like 131 or 1231: a month and a day of it, in two months at least."""
    months = values // 100
    days = values % 100
    in_range = months.is_between(1, 12) & days.is_between(1, 31)
    return bool(in_range.all()) and months.n_unique() > 1

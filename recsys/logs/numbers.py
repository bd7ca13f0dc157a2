"""Ratings and weights written as text: with a decimal point, or with a decimal comma."""

import polars as pl

from recsys.core.errors import DataError

NOTHING = ("", "-", "--", "nan", "na", "n/a", "null", "none", "nil", "<na>")
"""Words for no value, in lower case."""

_WITH_COMMA = r"^[+-]?\d*,\d+$"
_WITH_POINT = r"^[+-]?\d*\.\d+$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"


def has_decimal_commas(sample: pl.Series, column: str) -> bool:
    """Whether the numbers in a text column are written like 4,5.

    Raises DataError when there is no number, when both signs occur, and when every comma may as well
    part thousands.
    """
    stripped = sample.drop_nulls().str.strip_chars()
    says_nothing = stripped.str.to_lowercase().is_in(list(NOTHING))
    known = stripped.filter(~says_nothing)
    if not len(known):
        return False
    commas = known.filter(known.str.contains(_WITH_COMMA))
    points = known.filter(known.str.contains(_WITH_POINT))
    if not len(commas):
        _require_any_number(sample, known, column)
        return False
    if len(points):
        raise DataError(
            f"column {sample.name!r}, read as {column}, holds both {commas[0]!r} and {points[0]!r}",
            "Write one decimal sign in all rows, a point or a comma",
        )
    if bool(commas.str.contains(_THOUSANDS).all()):
        raise DataError(
            f"column {sample.name!r}, read as {column}, holds {commas[0]!r}: a decimal comma, or thousands?",
            "Write a decimal point, and nothing between thousands",
        )
    return True


def read_number(raw: pl.Expr, kind: pl.DataType, decimal_commas: bool) -> pl.Expr:
    """Float32 of a column; null where there is none, NaN where what there is cannot be read."""
    if kind != pl.String:
        number = raw.cast(pl.Float32, strict=False)
        missing = ~number.is_finite().fill_null(False)
    else:
        text = raw.str.strip_chars()
        missing = text.is_null() | text.str.to_lowercase().is_in(list(NOTHING))
        if decimal_commas:
            # With commas for decimals, a point parts thousands: such text is not read at all.
            point = text.str.contains(".", literal=True)
            text = pl.when(~point).then(text.str.replace(",", ".", literal=True))
        number = text.cast(pl.Float32, strict=False)
    # Three outcomes: a number, NaN for what cannot be read, null for nothing, which is no fault.
    readable = number.is_finite().fill_null(False)
    unreadable = pl.lit(float("nan"), dtype=pl.Float32)
    value = pl.when(readable).then(number).otherwise(unreadable)
    return pl.when(~missing).then(value)


def _require_any_number(sample: pl.Series, known: pl.Series, column: str) -> None:
    numbers = known.cast(pl.Float64, strict=False)
    if not numbers.is_not_null().any():
        raise DataError(
            f"column {sample.name!r}, read as {column}, holds {known[0]!r} and no number in its first {len(sample)} rows",
            f"Map another column with --{column}-col, or leave it out",
        )

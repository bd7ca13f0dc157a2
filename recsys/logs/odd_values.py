"""Values of a cleaned log that are read as they stand, but may not be what they look like."""

import polars as pl

from recsys.core.tables import Drops
from recsys.logs.numbers import NOTHING
from recsys.logs.reasons import TIME_MISSING, TIME_UNREADABLE

_NO_IDS = [*NOTHING, "nat", "undefined", "unknown", "missing", "?", "#n/a", "(null)", "\\n"]
"""Words for nothing, in lower case."""

_WHOLE_NUMBER = r"^([+-]?)0*(\d+)(?:\.0*)?$"
_ROUNDED = r"^[+-]?\d(?:[.,]\d+)?[eE][+]?\d+$"
_SHOWN = 3
_FIRST_CERTAIN_SECOND = 10**8  # 1973


def id_warnings(ids: pl.Series, column: str) -> list[str]:
    """Sentences about the distinct ids of a column; empty when nothing is odd.

    column: its name in the source.
    """
    trimmed = ids.str.strip_chars()
    nothing = ids.filter(trimmed.str.to_lowercase().is_in(_NO_IDS))
    padded = ids.filter(ids != trimmed)
    rounded = ids.filter(trimmed.str.contains(_ROUNDED))
    warnings = []
    if len(nothing):
        warnings.append(
            f"{_shown(nothing)} in {column!r} may stand for no id, and counts as one: leave such cells empty"
        )
    if len(padded):
        warnings.append(
            f"{_count(padded)} in {column!r} with blanks around it, {_shown(padded)}: "
            "blanks belong to the id, strip them in the export"
        )
    if len(rounded):
        warnings.append(
            f"{_count(rounded)} in {column!r} written like {_shown(rounded)}: a spreadsheet rounded it, "
            "and different ids became one; export the column as text"
        )
    several = _several_forms(ids)
    if several:
        warnings.append(
            f"{several} in {column!r} count as different ids: if they are one, write it in one form"
        )
    return warnings


def time_warnings(first_time: int | None, last_time: int | None, unit: str | None) -> list[str]:
    """What is odd about the span of times, unix seconds; unit: how they were read."""
    if unit != "s" or last_time is None or last_time >= _FIRST_CERTAIN_SECOND:
        return []
    return [
        f"times are {first_time:,} to {last_time:,}, which as unix seconds ends before 1973: "
        "only their order can be trusted; half-lives in days mean nothing. "
        'Set data.time_unit = "order" if they count what a user did'
    ]


def order_warnings(column: str, is_decided: bool, num_repeats: int) -> list[str]:
    """What is said of a column that was read as an order.

    Args:
        column: its name in the source.
        is_decided: whether its values decided that it is one, and not the configuration.
        num_repeats: rows whose number is that of the user's row before.
    """
    warnings = []
    if is_decided:
        warnings.append(
            f"{column!r} holds small whole numbers and is read as an order of what each user did, "
            'not as moments: set data.time_unit = "s" if they are seconds, "order" if that is right'
        )
    if num_repeats:
        warnings.append(
            f"{num_repeats:,} rows repeat the number in {column!r} of their user's row before: "
            "such rows come by item id"
        )
    return warnings


def missing_times(column: str, drops: Drops, num_rows: int) -> list[str]:
    """What is said when more than half of the rows read are dropped for want of a time.

    column: its name in the source.
    """
    count = drops[TIME_MISSING] + drops[TIME_UNREADABLE]
    if count <= num_rows / 2:
        return []
    return [
        f"{count:,} of {num_rows:,} rows are dropped because {column!r} holds no time that can be read: "
        'data.time_col = "" keeps them, and leaves the time of all others out'
    ]


def _several_forms(ids: pl.Series) -> str:
    """Ids that are the same number or text in several forms, '1', '01' and '1.0' say; "" if none."""
    trimmed = pl.col("id").str.strip_chars()
    number = trimmed.str.replace(_WHOLE_NUMBER, "${1}${2}").str.strip_prefix("+")
    forms = ids.to_frame("id").with_columns(number.alias("form"))
    groups = forms.group_by("form").agg(pl.col("id").sort()).filter(pl.col("id").list.len() > 1)
    if not len(groups):
        return ""
    first = groups.sort("form")["id"][0]
    more = f" and {len(groups) - 1:,} more such groups" if len(groups) > 1 else ""
    return _shown(first) + more


def _count(ids: pl.Series) -> str:
    return "there is 1 id" if len(ids) == 1 else f"there are {len(ids):,} ids"


def _shown(ids: pl.Series) -> str:
    """'a', 'b' and 'c'."""
    quoted = [repr(text) for text in ids.head(_SHOWN)]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"

"""Which rows stay: rules on one row, then on all rows of a user. Every rule says how many rows it
took.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from recsys.core.config import CleanConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.interactions import TimeKind
from recsys.core.suppression import Suppression
from recsys.core.tables import BEHAVIOR, ITEM, RATING, SPLIT, TIME, USER, USER_ID, WEIGHT, Drops
from recsys.logs.packing import pack, unpacked
from recsys.logs.reasons import (
    AFTER_WINDOW,
    BEFORE_WINDOW,
    DUPLICATE,
    KEPT,
    OVER_CAP,
    RATING_LOW,
    RATING_MISSING,
    RATING_UNREADABLE,
    REASON,
    SUPPRESSED,
    TIME_NEGATIVE,
    TIME_TOO_LARGE,
    first_reason,
)
from recsys.logs.times import iso_seconds


def mark_rows(
    marked: pl.LazyFrame,
    columns: Sequence[str],
    clean: CleanConfig,
    time_kind: TimeKind = "seconds",
) -> pl.LazyFrame:
    """Give kept rows that break a rule on one row their reason.

    Args:
        marked: rows with REASON.
        columns: the LOG_SCHEMA columns there are.
        clean: the rules.
        time_kind: what the times are; the numbers of an order may be any.

    Raises:
        DataError: a rule needs a column or a clock that the log lacks.
    """
    tests = _time_tests(columns, clean, time_kind) + _rating_tests(columns, clean)
    if not tests:
        return marked
    reason = pl.when(pl.col(REASON) == KEPT).then(first_reason(tests)).otherwise(pl.col(REASON))
    return marked.with_columns(reason.alias(REASON))


def mark_suppressed(marked: pl.DataFrame, suppressed: Suppression) -> pl.DataFrame:
    """Give the kept rows of people on the list their reason."""
    theirs = suppressed.among(marked[USER_ID])
    if not theirs:
        return marked
    test = (pl.col(REASON) == KEPT) & pl.col(USER_ID).is_in(theirs)
    return marked.with_columns(first_reason([(SUPPRESSED, test)], pl.col(REASON)))


def moment(value: str | int | None, key: str) -> int | None:
    """Unix seconds of a configured moment, a number or ISO text. Raises ConfigError."""
    if value is None or isinstance(value, int):
        return value
    seconds = pl.select(iso_seconds(pl.lit(value))).item()
    if seconds is None:
        raise ConfigError(
            f"{key} = {value!r} is no moment", "Write unix seconds or ISO text such as 2024-01-31"
        )
    return int(seconds)


def _time_tests(
    columns: Sequence[str], clean: CleanConfig, time_kind: TimeKind
) -> list[tuple[str, pl.Expr]]:
    start, end = moment(clean.start, "clean.start"), moment(clean.end, "clean.end")
    has_window = start is not None or end is not None
    if TIME not in columns:
        if has_window:
            raise DataError(
                "clean.start and clean.end need a time column",
                "Map it with --time-col or data.time_col",
            )
        return []
    if time_kind == "order":
        if has_window:
            raise DataError(
                "clean.start and clean.end need moments, and the log has an order and no clock",
                "Leave them out, or name a column of times with data.time_col",
            )
        return []
    time = pl.col(TIME)
    tests = [(TIME_NEGATIVE, time < 0), (TIME_TOO_LARGE, time > clean.max_time)]
    # Half open, so that windows one after another share no row.
    if start is not None:
        tests.append((BEFORE_WINDOW, time < start))
    if end is not None:
        tests.append((AFTER_WINDOW, time >= end))
    return tests


def _rating_tests(columns: Sequence[str], clean: CleanConfig) -> list[tuple[str, pl.Expr]]:
    if clean.min_rating is None:
        return []
    if RATING not in columns:
        raise DataError(
            f"clean.min_rating = {clean.min_rating} needs a rating column",
            "Map it with --rating-col or data.rating_col",
        )
    return [
        (RATING_MISSING, pl.col(RATING).is_null()),
        (RATING_UNREADABLE, pl.col(RATING).is_nan()),
        (RATING_LOW, pl.col(RATING) < clean.min_rating),
    ]


def drop_duplicates(rows: pl.DataFrame, keep: str) -> tuple[pl.DataFrame, Drops]:
    """One row per user, item and behaviour (and published split): the first, the last, or the first
    with summed weight.

    rows: coded, in the order of the log, which decides between equal times; without times it
    decides alone. "sum" on a log without weights counts the rows. The order of the result is not
    defined.
    """
    key = [column for column in (USER, ITEM, BEHAVIOR, SPLIT) if column in rows.columns]
    merged = _merge(rows, key, keep)
    return merged, +Drops({DUPLICATE: len(rows) - len(merged)})


def _merge(rows: pl.DataFrame, key: list[str], keep: str) -> pl.DataFrame:
    if keep == "sum" and WEIGHT not in rows.columns:
        rows = rows.with_columns(pl.lit(1.0, dtype=pl.Float32).alias(WEIGHT))
    if WEIGHT not in rows.columns:
        return _merge_plain(rows, key, last=keep == "last")
    order = [*key, TIME] if TIME in rows.columns else key
    # Stable: the order of the log decides between equal times.
    ordered = rows.sort(order, maintain_order=True)
    # The last row of a group differs from the row after it, the first one from the row before.
    neighbour = pl.col(key).shift(-1 if keep == "last" else 1)
    ends = pl.any_horizontal(pl.col(key) != neighbour)
    # Null at the border of the table, where there is no neighbour.
    picked = ordered.filter(ends.fill_null(True))
    if keep != "sum":
        return picked
    # In the order of the groups, which is that of the picked rows. Summed in Float64, whose
    # rounding does not show in a Float32.
    total = pl.col(WEIGHT).cast(pl.Float64).sum().cast(pl.Float32)
    totals = ordered.group_by(key, maintain_order=True).agg(total)
    return picked.with_columns(totals[WEIGHT])


def _merge_plain(rows: pl.DataFrame, key: list[str], last: bool) -> pl.DataFrame:
    """Rows with nothing but a key and a time: no row has to be picked, which makes it several times
    faster.
    """
    if TIME not in rows.columns:
        return rows.unique(key)
    if SPLIT not in rows.columns:
        packed = pack({column: rows[column].to_numpy() for column in (*key, TIME)})
        if packed is not None:
            return unpacked(packed.sort().one_a_group(last), rows)
    time = pl.col(TIME).max() if last else pl.col(TIME).min()
    merged = rows.group_by(key).agg(time)
    return merged.select(rows.columns)


def cap_activity(rows: pl.DataFrame, limit: int | None) -> tuple[pl.DataFrame, Drops]:
    """A user's latest `limit` rows; the larger codes among equal times. Raises DataError when the
    log has no time.
    """
    if limit is None:
        return rows, Drops()
    if TIME not in rows.columns:
        raise DataError(
            "clean.max_user_interactions keeps the latest rows and needs a time", "Map --time-col"
        )
    tie = [column for column in (TIME, ITEM, BEHAVIOR, SPLIT) if column in rows.columns]
    # 0 for the user's latest row.
    num_later = pl.int_range(pl.len()).reverse().over(USER)
    latest = rows.sort(tie).filter(num_later < limit)
    return latest, +Drops({OVER_CAP: len(rows) - len(latest)})


def facts(drops: Drops) -> dict[str, Any]:
    """Drops as a JSON document, names ascending."""
    return {reason: drops[reason] for reason in sorted(drops)}

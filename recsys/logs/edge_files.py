"""Files of edges in any format: two columns of ends, maybe a kind, a weight and a time; a reason
for every row lost.
"""

from typing import Any

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.errors import DataError, nearest
from recsys.core.ids import IdMap
from recsys.core.tables import (
    BEHAVIOR,
    DESTINATION,
    ITEM,
    ITEM_ID,
    SOURCE,
    TIME,
    USER,
    USER_ID,
    WEIGHT,
    Drops,
)
from recsys.logs.ingest import CodedLog
from recsys.logs.read import scan_log
from recsys.logs.reasons import BEHAVIOR_MISSING, ITEM_MISSING, USER_MISSING
from recsys.logs.sources import open_parts
from recsys.logs.text import BROKEN, TextOptions

KIND = BEHAVIOR
"""Column of the kind of an edge, where a file has several."""
_CODE = "code"
_ROLES = {"weight": "weight_col", "time": "time_col", "kind": "behavior_col"}


def columns_of(file: str, wanted: int, name: str) -> list[str]:
    """The first `wanted` columns of a file. Raises DataError when it has fewer."""
    columns = _columns(file)
    if len(columns) < wanted:
        raise DataError(
            f"the file {file!r} of {name!r} has the columns {columns}", f"It needs {wanted} of them"
        )
    return columns[:wanted]


def read_edges(
    file: str, ends: tuple[str, str], name: str, data: DataConfig, **roles: str | None
) -> tuple[pl.DataFrame, Drops]:
    """SOURCE and DESTINATION as text, with WEIGHT, TIME and KIND where asked for; and rows that
    cannot be used.

    roles: columns of the `weight`, `time` and `kind`. Raises DataError naming a column that is not
    there.
    """
    # Read as a log whose users and items are the two ends: every format, unit and mark of a broken
    # line is understood as there.
    mapped: dict[str, Any] = {
        "user_col": ends[0],
        "item_col": ends[1],
        "rating_col": "",
        "columns": None,
        "separator": None,
    }
    required = [*ends]
    for role, key in _ROLES.items():
        column = roles.get(role) or ""
        mapped[key] = column
        if column:
            required.append(column)
    _require(file, name, required)
    if data.time_unit == "order":
        mapped["time_unit"] = "auto"  # that of the log; edges are known since a moment
    scan = scan_log(file, data.model_copy(update=mapped))
    if scan.time_kind == "order":
        raise DataError(
            f"the column {roles.get('time')!r} of {name!r} holds an order, and since when an edge is known is a moment",
            "Leave its time_col out, or write unix seconds or dates",
        )
    rows, drops = scan.collect()

    # Of an edge, "user missing" would mislead: the columns of the file are named instead.
    reasons = {
        USER_MISSING: f"{ends[0]} missing",
        ITEM_MISSING: f"{ends[1]} missing",
        BEHAVIOR_MISSING: f"{roles.get('kind')} missing",
    }
    counted = Drops()
    for reason, count in drops.items():
        counted[reasons.get(reason, reason)] += count
    return rows.rename({USER_ID: SOURCE, ITEM_ID: DESTINATION}), counted


def coded(rows: pl.DataFrame, column: str, end: str, log: CodedLog) -> tuple[pl.DataFrame, Drops]:
    """With codes in place of the ids of users and items, or trimmed text of other nodes; unknown
    and empty ones lost.
    """
    if end not in (USER, ITEM):
        trimmed = rows.with_columns(pl.col(column).str.strip_chars())
        return without(trimmed, pl.col(column) == "", f"empty {end}")
    known: IdMap = log.users if end == USER else log.items
    code = pl.arange(len(known), dtype=pl.Int32, eager=True)
    codes = pl.DataFrame({column: known.ids, _CODE: code})
    # A left join, so that ids of the file which the log does not have are counted.
    joined = rows.join(codes, on=column, how="left", maintain_order="left")
    known_rows, drops = without(joined, pl.col(_CODE).is_null(), f"unknown {end}")
    coded_rows = known_rows.with_columns(pl.col(_CODE).alias(column))
    return coded_rows.drop(_CODE), drops


def once(rows: pl.DataFrame, repeats: str = "once") -> tuple[pl.DataFrame, Drops]:
    """Every pair once: the latest time, and the largest weight or, with "sum", all of it (1 a row
    without weights).
    """
    if repeats == "sum" and WEIGHT not in rows.columns:
        rows = rows.with_columns(pl.lit(1.0, dtype=pl.Float32).alias(WEIGHT))
    merged = []
    if WEIGHT in rows.columns:
        weight = pl.col(WEIGHT)
        if repeats == "sum":
            merged.append(weight.cast(pl.Float64).sum().cast(pl.Float32))
        else:
            merged.append(weight.max())
    if TIME in rows.columns:
        merged.append(pl.col(TIME).max())
    pairs = rows.group_by(SOURCE, DESTINATION).agg(merged)
    # A group-by has no order of its own; the same file is to give the same bytes.
    pairs = pairs.sort(SOURCE, DESTINATION)
    return pairs, Drops({"repeated": len(rows) - len(pairs)})


def without(rows: pl.DataFrame, test: pl.Expr, reason: str) -> tuple[pl.DataFrame, Drops]:
    """Rows for which the test does not hold, and how many went."""
    remaining = rows.filter(~test)
    return remaining, Drops({reason: len(rows) - len(remaining)})


def named(drops: Drops, name: str) -> Drops:
    """Reasons under the name of a relation; those that took nothing are left out."""
    return Drops({f"{name}: {reason}": count for reason, count in drops.items() if count})


def _columns(file: str) -> list[str]:
    parts = open_parts(file, TextOptions())
    return [column for column in parts[0].columns if column != BROKEN]


def _require(file: str, name: str, required: list[str]) -> None:
    columns = _columns(file)
    for column in required:
        if column not in columns:
            raise DataError(
                f"the file {file!r} of {name!r} has no column {column!r}; it has {columns}",
                nearest(column, columns) or "Name the right one",
            )

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
from recsys.logs.sources import TextOptions, open_parts
from recsys.logs.text import BROKEN

KIND = BEHAVIOR
"""Column of the kind of an edge, where a file has several."""
_CODE = "code"
_ROLES = {"weight": "weight_col", "time": "time_col", "kind": "behavior_col"}


def columns_of(file: str, wanted: int, name: str) -> list[str]:
    """The first `wanted` columns of a file. Raises DataError when it has fewer."""
    found = _found(file)
    if len(found) < wanted:
        raise DataError(
            f"the file {file!r} of {name!r} has the columns {found}", f"It needs {wanted} of them"
        )
    return found[:wanted]


def read_edges(
    file: str, ends: tuple[str, str], name: str, data: DataConfig, **roles: str | None
) -> tuple[pl.DataFrame, Drops]:
    """SOURCE and DESTINATION as text, with WEIGHT, TIME and KIND where asked for; and rows that
    cannot be used.

    roles: columns of the `weight`, `time` and `kind`. Raises DataError naming a column that is not
    there.
    """
    asked: dict[str, Any] = {key: roles.get(role) or "" for role, key in _ROLES.items()}
    _require(file, name, [*ends, *(column for column in roles.values() if column)])
    asked |= {
        "user_col": ends[0],
        "item_col": ends[1],
        "rating_col": "",
        "columns": None,
        "separator": None,
    }
    rows, drops = scan_log(file, data.model_copy(update=asked)).collect()
    reasons = {USER_MISSING: f"{ends[0]} missing", ITEM_MISSING: f"{ends[1]} missing"}
    reasons |= {BEHAVIOR_MISSING: f"{roles.get('kind')} missing"}
    counted = Drops({reasons.get(reason, reason): count for reason, count in drops.items()})
    return rows.rename({USER_ID: SOURCE, ITEM_ID: DESTINATION}), counted


def coded(rows: pl.DataFrame, column: str, end: str, log: CodedLog) -> tuple[pl.DataFrame, Drops]:
    """With codes in place of the ids of users and items, or trimmed text of other nodes; unknown
    and empty ones lost.
    """
    if end not in (USER, ITEM):
        trimmed = rows.with_columns(pl.col(column).str.strip_chars())
        return without(trimmed, pl.col(column) == "", f"empty {end}")
    known: IdMap = log.users if end == USER else log.items
    codes = pl.DataFrame(
        {column: known.ids, _CODE: pl.arange(len(known), dtype=pl.Int32, eager=True)}
    )
    found, drops = without(
        rows.join(codes, on=column, how="left", maintain_order="left"),
        pl.col(_CODE).is_null(),
        f"unknown {end}",
    )
    return found.with_columns(pl.col(_CODE).alias(column)).drop(_CODE), drops


def once(rows: pl.DataFrame, repeats: str = "once") -> tuple[pl.DataFrame, Drops]:
    """Every pair once: the latest time, and the largest weight or, with "sum", all of it (1 a row
    without weights).
    """
    if repeats == "sum" and WEIGHT not in rows.columns:
        rows = rows.with_columns(pl.lit(1.0, dtype=pl.Float32).alias(WEIGHT))
    weight = (
        pl.col(WEIGHT).cast(pl.Float64).sum().cast(pl.Float32)
        if repeats == "sum"
        else pl.col(WEIGHT).max()
    )
    merged = [weight] * (WEIGHT in rows.columns) + [pl.col(TIME).max()] * (TIME in rows.columns)
    kept = rows.group_by(SOURCE, DESTINATION).agg(merged).sort(SOURCE, DESTINATION)
    return kept, Drops({"repeated": len(rows) - len(kept)})


def without(rows: pl.DataFrame, test: pl.Expr, reason: str) -> tuple[pl.DataFrame, Drops]:
    """Rows for which the test does not hold, and how many went."""
    kept = rows.filter(~test)
    return kept, Drops({reason: len(rows) - len(kept)})


def named(drops: Drops, name: str) -> Drops:
    """Reasons under the name of a relation; those that took nothing are left out."""
    return Drops({f"{name}: {reason}": count for reason, count in drops.items() if count})


def _found(file: str) -> list[str]:
    return [column for column in open_parts(file, TextOptions())[0].columns if column != BROKEN]


def _require(file: str, name: str, wanted: list[str]) -> None:
    found = _found(file)
    for column in wanted:
        if column not in found:
            raise DataError(
                f"the file {file!r} of {name!r} has no column {column!r}; it has {found}",
                nearest(column, found) or "Name the right one",
            )

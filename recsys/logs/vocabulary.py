"""Vocabulary tables of an ingested log: one row per code, with what the side tables know of it."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.tables import AVAILABLE, ITEM_ID, USER_ID
from recsys.logs.side_tables import (
    SideFacts,
    SideTable,
    read_availability,
    read_items,
    read_users,
)

COLD_ITEMS = "untaken_items.parquet"


@dataclass(frozen=True)
class Joined:
    """What joining side tables to the ids of the log found.

    facts: of each side table.
    warnings: sentences on what was merged, left out, or not found.
    missing: ids without a row in the item or user table; None without that table.
    """

    facts: list[SideFacts]
    warnings: list[str]
    missing: int | None


def write_items(ids: pl.Series, data: DataConfig, path: Path) -> Joined:
    """Write ITEM_ID, the columns of the item table and AVAILABLE.

    Rows of the item table beyond `ids`, which nobody took, go to COLD_ITEMS beside it, where there
    are any.
    """
    ids = ids.alias(ITEM_ID)
    item_table = read_items(data)
    availability = read_availability(data)
    side = None if item_table is None else item_table.rows
    withdrawn = None if availability is None else availability.rows
    table, missing = _joined(ids, side)
    _with_availability(table, withdrawn).write_parquet(path)
    known = ids
    if side is not None:
        cold_items = side.join(ids.to_frame(), on=ITEM_ID, how="anti")
        if len(cold_items):
            _with_availability(cold_items, withdrawn).write_parquet(path.with_name(COLD_ITEMS))
        known = pl.concat([ids, cold_items[ITEM_ID]])
    facts, warnings = _facts_of(item_table, ids)
    facts_of_availability, warnings_of_availability = _facts_of(availability, known)
    return Joined(facts + facts_of_availability, warnings + warnings_of_availability, missing)


def _with_availability(table: pl.DataFrame, withdrawn: pl.DataFrame | None) -> pl.DataFrame:
    if withdrawn is not None:
        # What the availability file says goes before a column of the item table.
        table = table.drop(AVAILABLE, strict=False)
        table = table.join(withdrawn, on=ITEM_ID, how="left", maintain_order="left")
    elif AVAILABLE not in table.columns:
        table = table.with_columns(pl.lit(True).alias(AVAILABLE))
    # An item that nothing is said of is available.
    available = pl.col(AVAILABLE).cast(pl.Boolean).fill_null(True)
    return table.select(pl.exclude(AVAILABLE), available)


def write_users(ids: pl.Series, data: DataConfig, path: Path) -> Joined:
    """Write USER_ID and the columns of the user table."""
    ids = ids.alias(USER_ID)
    user_table = read_users(data)
    table, missing = _joined(ids, None if user_table is None else user_table.rows)
    table.write_parquet(path)
    facts, warnings = _facts_of(user_table, ids)
    return Joined(facts, warnings, missing)


def _facts_of(table: SideTable | None, ids: pl.Series) -> tuple[list[SideFacts], list[str]]:
    if table is None:
        return [], []
    return [table.matched_with(ids)], table.warnings(ids)


def _joined(ids: pl.Series, side: pl.DataFrame | None) -> tuple[pl.DataFrame, int | None]:
    table = ids.to_frame()
    if side is None:
        return table, None
    missing = table.join(side, on=ids.name, how="anti")
    # Row i must stay that of code i.
    joined = table.join(side, on=ids.name, how="left", maintain_order="left")
    return joined, len(missing)

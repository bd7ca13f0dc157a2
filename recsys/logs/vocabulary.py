"""Vocabulary tables of an ingested log: one row per code, with what the side tables know of it."""

from pathlib import Path

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.tables import AVAILABLE, ITEM_ID, USER_ID
from recsys.logs.read import read_availability, read_items, read_users

COLD_ITEMS = "untaken_items.parquet"


def write_items(ids: pl.Series, data: DataConfig, path: Path) -> int | None:
    """Write ITEM_ID, the columns of the item table and AVAILABLE; returns how many ids the item
    table lacks.

    Rows of the item table beyond `ids`, which nobody took, go to COLD_ITEMS beside it, where there
    are any.
    """
    side, withdrawn = read_items(data), read_availability(data)
    table, missing = _joined(ids.alias(ITEM_ID), side)
    _with_availability(table, withdrawn).write_parquet(path)
    cold_items = (
        None if side is None else side.join(ids.alias(ITEM_ID).to_frame(), on=ITEM_ID, how="anti")
    )
    if cold_items is not None and len(cold_items):
        _with_availability(cold_items, withdrawn).write_parquet(path.with_name(COLD_ITEMS))
    return missing


def _with_availability(table: pl.DataFrame, withdrawn: pl.DataFrame | None) -> pl.DataFrame:
    if withdrawn is not None:
        table = table.drop(AVAILABLE, strict=False).join(
            withdrawn, on=ITEM_ID, how="left", maintain_order="left"
        )
    elif AVAILABLE not in table.columns:
        table = table.with_columns(pl.lit(True).alias(AVAILABLE))
    return table.select(pl.exclude(AVAILABLE), pl.col(AVAILABLE).cast(pl.Boolean).fill_null(True))


def write_users(ids: pl.Series, data: DataConfig, path: Path) -> int | None:
    """Write USER_ID and the columns of the user table; returns how many ids the user table lacks."""
    table, missing = _joined(ids.alias(USER_ID), read_users(data))
    table.write_parquet(path)
    return missing


def _joined(ids: pl.Series, side: pl.DataFrame | None) -> tuple[pl.DataFrame, int | None]:
    table = ids.to_frame()
    if side is None:
        return table, None
    missing = table.join(side, on=ids.name, how="anti")
    return table.join(side, on=ids.name, how="left", maintain_order="left"), len(missing)

"""Attribute columns of the item and user tables as nodes: one node per distinct value."""

import numpy as np
import polars as pl

from recsys.core.config import AttributeConfig
from recsys.core.errors import ConfigError, UsageError, nearest
from recsys.core.tables import Drops
from recsys.core.values import OWNER, VALUE, owner_values
from recsys.graph.edge_table import EdgeTable


def read_attribute(config: AttributeConfig, table: pl.DataFrame | None, num_owners: int) -> tuple[EdgeTable, Drops]:
    """Edges from owners (users or items) to the values of one attribute column; and the owners that have none.

    Weights 1, a value repeated within an owner counts once. table: one row per owner, in dense order.
    Raises ConfigError when there is no such table or column.
    """
    pairs = owner_values(_column(config, table, num_owners), config.separator)
    edge_type = (config.side, config.column, f"{config.side}:{config.column}")
    missing = num_owners - pairs[OWNER].n_unique()
    drops = +Drops({f"{config.side} without {config.column}": missing})
    return EdgeTable(edge_type, pairs[OWNER], pairs[VALUE], np.ones(len(pairs))), drops


def _column(config: AttributeConfig, table: pl.DataFrame | None, num_owners: int) -> pl.Series:
    if table is None:
        raise ConfigError(
            f"graph.attributes names the {config.side} column {config.column!r}, but the run has no {config.side} table",
            f"Give its file as data.{config.side}s, or remove the attribute",
        )
    if config.column not in table.columns:
        hint = nearest(config.column, table.columns) or f"It has {table.columns}"
        raise ConfigError(f"the {config.side} table has no column {config.column!r} for graph.attributes", hint)
    if len(table) != num_owners:
        raise UsageError(
            f"the {config.side} table has {len(table)} rows for {num_owners} {config.side}s",
            "Give one row per dense id of the phase, in that order",
        )
    return table[config.column]

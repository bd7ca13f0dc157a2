"""Attribute columns of the item and user tables as nodes: one node per distinct value."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.core.config import AttributeConfig
from recsys.core.errors import ConfigError, UsageError, nearest
from recsys.core.tables import Drops
from recsys.graph.edges import collapse
from recsys.graph.schema import Adjacency, EdgeType

_OWNER, _VALUE = "owner", "value"


@dataclass(frozen=True)
class Attribute:
    """One attribute as a relation: owners (users or items) → attribute nodes.

    labels: value of each node, ascending. drops: owners that have no value.
    """

    edge_type: EdgeType
    adjacency: Adjacency
    labels: tuple[str, ...]
    drops: Drops


def read_attribute(config: AttributeConfig, table: pl.DataFrame | None, num_owners: int) -> Attribute:
    """Nodes and edges of one attribute column; weights 1, a value repeated within an owner counts once.

    table: one row per owner, in dense order. Raises ConfigError when there is no such table or column.
    """
    node_type = f"{config.side}:{config.column}"
    pairs = _pairs(_column(config, table, num_owners), config.separator)
    labels = tuple(pairs[_VALUE].unique().sort())
    index = pl.Series(labels, dtype=pl.String)
    value = index.search_sorted(pairs[_VALUE]).to_numpy()
    owner = pairs[_OWNER].to_numpy()
    missing = num_owners - pairs[_OWNER].n_unique()
    return Attribute(
        edge_type=(config.side, config.column, node_type),
        adjacency=collapse(value, owner, np.ones(len(owner)), None, len(labels), num_owners),
        labels=labels,
        drops=+Drops({f"{config.side} without {config.column}": missing}),
    )


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


def _pairs(column: pl.Series, separator: str | None) -> pl.DataFrame:
    """Distinct (owner, value) rows; nulls, NaN and empty text are no values."""
    values = pl.DataFrame({_OWNER: pl.arange(len(column), eager=True, dtype=pl.Int64), _VALUE: column})
    if separator is not None and column.dtype in (pl.String, pl.Categorical):
        values = values.with_columns(pl.col(_VALUE).cast(pl.String).str.split(separator))
    if isinstance(values[_VALUE].dtype, pl.List | pl.Array):
        values = values.explode(_VALUE)
    if values[_VALUE].dtype.is_float():
        values = values.with_columns(pl.col(_VALUE).fill_nan(None))
    text = pl.col(_VALUE).cast(pl.String).str.strip_chars()
    return values.with_columns(text).filter(pl.col(_VALUE) != "").unique(maintain_order=True)

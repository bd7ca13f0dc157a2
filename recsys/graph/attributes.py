"""Attribute columns of the item and user tables: as nodes, one per distinct value, or as features
of their owners.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recsys.core.bins import bin_labels, quantile_labels
from recsys.core.config import AttributeConfig
from recsys.core.errors import ConfigError, DataError, UsageError, nearest
from recsys.core.features import FeatureColumn
from recsys.core.tables import Drops
from recsys.core.values import OWNER, VALUE, owner_values
from recsys.graph.edge_table import EdgeTable
from recsys.graph.schema import Features, NodeType


def read_attribute(
    config: AttributeConfig, table: pl.DataFrame | None, num_owners: int
) -> tuple[EdgeTable, Drops]:
    """Edges from owners (users or items) to the values of one attribute column; and the owners that
    have none.

    Weights 1, a value repeated within an owner counts once. table: one row per owner, in dense
    order. Raises ConfigError when there is no such table or column, DataError for bins of a column
    that holds no number.
    """
    column, num_infinite = _values(config, _column(config, table, num_owners))
    pairs = owner_values(column, config.separator)
    num_missing = num_owners - num_infinite - pairs[OWNER].n_unique()
    drops = Drops()
    drops[f"{config.side} without {config.column}"] = num_missing
    drops[f"{config.side} with {config.column} not finite"] = num_infinite
    edge_type = (config.side, config.column, f"{config.side}:{config.column}")
    return EdgeTable(edge_type, pairs[OWNER], pairs[VALUE], np.ones(len(pairs))), +drops


def read_features(
    configs: Sequence[AttributeConfig],
    tables: Mapping[NodeType, pl.DataFrame | None],
    num_owners: Mapping[NodeType, int],
) -> tuple[dict[NodeType, Features], Drops]:
    """By side, the columns that are features, side by side; and the owners of whom one says nothing
    usable.
    """
    columns: dict[NodeType, list[FeatureColumn]] = {}
    values: dict[NodeType, list[Tensor]] = {}
    drops = Drops()
    for config in configs:
        column = _column(config, tables[config.side], num_owners[config.side])
        feature = FeatureColumn.fit(column, config.separator)
        numbers, num_missing = feature.apply(column)
        drops[f"{config.side} without {config.column}"] += num_missing
        columns.setdefault(config.side, []).append(feature)
        values.setdefault(config.side, []).append(torch.from_numpy(numbers))
    features = {}
    for side, of_side in columns.items():
        features[side] = Features(tuple(of_side), torch.cat(values[side], dim=1))
    return features, +drops


def _column(config: AttributeConfig, table: pl.DataFrame | None, num_owners: int) -> pl.Series:
    if table is None:
        raise ConfigError(
            f"graph.attributes names the {config.side} column {config.column!r}, but the run has no {config.side} table",
            f"Give its file as data.{config.side}s, or remove the attribute",
        )
    if config.column not in table.columns:
        hint = nearest(config.column, table.columns) or f"It has {table.columns}"
        raise ConfigError(
            f"the {config.side} table has no column {config.column!r} for graph.attributes", hint
        )
    if len(table) != num_owners:
        raise UsageError(
            f"the {config.side} table has {len(table)} rows for {num_owners} {config.side}s",
            "Give one row per dense id of the phase, in that order",
        )
    return table[config.column]


def _values(config: AttributeConfig, column: pl.Series) -> tuple[pl.Series, int]:
    """The column, numbers in bins where asked for; and how many of them are NaN or infinite."""
    if config.bins is None:
        return column, 0
    numbers = numbers_of(config, column)
    infinite = int((~numbers.is_finite()).sum())
    finite = numbers.filter(numbers.is_finite())
    return bin_labels(numbers, quantile_labels(finite.to_numpy(), config.bins)), infinite


def numbers_of(config: AttributeConfig, column: pl.Series) -> pl.Series:
    """The column as Float64, null where it holds no number. Raises DataError when it holds none at
    all.
    """
    is_nested = column.dtype.is_nested()
    numbers = column.clear(len(column)) if is_nested else column.cast(pl.Float64, strict=False)
    has_values = not column.is_null().all()
    if is_nested or (has_values and numbers.is_null().all()):
        example = column.drop_nulls()[0]
        raise DataError(
            f"the {config.side} column {config.column!r} holds no number, {example!r} say",
            "Leave out graph.attributes.bins for it",
        )
    return numbers

"""Typed tables → the heterogeneous graph: one relation per behaviour and attribute, each with its reverse."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.config import GraphConfig
from recsys.core.errors import ConfigError, DataError, UsageError, nearest
from recsys.core.interactions import Interactions
from recsys.core.tables import Drops
from recsys.graph.attributes import Attribute, read_attribute
from recsys.graph.edges import collapse, symmetric, transpose
from recsys.graph.schema import ITEM, USER, Adjacency, AttributeLabels, EdgeType, Graph, NodeType, reverse

__all__ = ["AttributeLabels", "build_graph", "target_behavior"]

_DAY_SECONDS = 86_400


def build_graph(
    interactions: Interactions,
    config: GraphConfig,
    item_table: pl.DataFrame | None = None,
    user_table: pl.DataFrame | None = None,
    similar: Mapping[NodeType, sparse.csr_matrix] | None = None,
) -> Graph:
    """The graph of one phase.

    item_table, user_table: attributes, one row per dense id of the phase, in that order.
    similar: (nodes, nodes) similarities by node type, for config.item_neighbours and config.user_neighbours; made from
    rows of this phase alone (Phase.similar). They become the symmetric relations "similar_items" and "similar_users".
    Weight of an edge: Σ over the rows of a pair of behaviour weight × log weight (use_weights) × 2^(−age / half-life),
    age counted back from the last row of the phase, held within the positive float32 numbers; its time is that of the
    latest row.
    A behaviour of weight 0, or without a row in this phase, makes no relation.
    Raises ConfigError or DataError naming the key or value that does not fit, UsageError for tables not asked for or
    missing.
    """
    target = target_behavior(interactions, config)
    _check_weights_of_behaviors(interactions, config, target)
    num_nodes: dict[NodeType, int] = {USER: interactions.num_users, ITEM: interactions.num_items}
    relations: dict[EdgeType, Adjacency] = {}
    drops = _add_behaviors(relations, interactions, config)
    attributes = _attributes(config, {USER: user_table, ITEM: item_table}, num_nodes)
    for attribute in attributes:
        _add(relations, attribute.edge_type, attribute.adjacency)
        num_nodes[attribute.edge_type[2]] = len(attribute.labels)
        drops += attribute.drops
    _add_similar(relations, similar or {}, config)
    labels = {attribute.edge_type[2]: attribute.labels for attribute in attributes}
    return Graph(num_nodes, relations, (USER, target, ITEM), labels, drops)


def target_behavior(interactions: Interactions, config: GraphConfig) -> str:
    """The behaviour to predict: config.target, or the only one. Raises ConfigError when it is not decided."""
    behaviors = interactions.behaviors
    if config.target is None:
        if len(behaviors) == 1:
            return behaviors[0]
        raise ConfigError(
            f"the log has the behaviours {list(behaviors)} and graph.target does not say which one to predict",
            "Name it with --target, or as graph.target",
        )
    if config.target not in behaviors:
        hint = nearest(config.target, behaviors) or f"The log has {list(behaviors)}"
        raise ConfigError(f"graph.target = {config.target!r} is not a behaviour of the log", hint)
    return config.target


def _add_behaviors(relations: dict[EdgeType, Adjacency], interactions: Interactions, config: GraphConfig) -> Drops:
    """A relation for every behaviour with rows and a weight; returns the rows left out."""
    weight = _row_weights(interactions, config)
    drops = Drops()
    for behavior in interactions.behaviors:
        rows = interactions.of(behavior)
        factor = config.behavior_weights.get(behavior, 1.0)
        if factor and rows.any():
            _add(relations, (USER, behavior, ITEM), _behavior_edges(interactions, rows, factor * weight[rows]))
        elif rows.any():
            drops[f"behavior {behavior} has weight 0"] = int(rows.sum())
    return drops


def _add(relations: dict[EdgeType, Adjacency], edge_type: EdgeType, adjacency: Adjacency) -> None:
    """A relation and its reverse. Raises ConfigError when its name is taken: names alone must tell relations apart."""
    name = edge_type[1]
    taken = {relation for _, relation, _ in relations}
    if name in taken or f"rev_{name}" in taken or name.startswith("rev_"):
        raise ConfigError(
            f"two relations of the graph would be called {name!r} or look like a reverse (rev_…)",
            "Rename that behaviour or attribute column",
        )
    relations[edge_type] = adjacency
    relations[reverse(edge_type)] = transpose(adjacency)


def _behavior_edges(interactions: Interactions, rows: NDArray[np.bool_], weight: NDArray[np.float64]) -> Adjacency:
    return collapse(
        destination=interactions.item[rows],
        source=interactions.user[rows],
        weight=weight,
        time=None if interactions.time is None else interactions.time[rows],
        num_dst=interactions.num_items,
        num_src=interactions.num_users,
    )


def _attributes(
    config: GraphConfig, tables: dict[NodeType, pl.DataFrame | None], num_nodes: dict[NodeType, int]
) -> list[Attribute]:
    return [read_attribute(one, tables[one.side], num_nodes[one.side]) for one in config.attributes]


def _add_similar(
    relations: dict[EdgeType, Adjacency], similar: Mapping[NodeType, sparse.csr_matrix], config: GraphConfig
) -> None:
    """A symmetric relation for every table.

    The user of a pair to predict is one of the users counted in its item's similarities, as in other published uses of
    co-occurrence (UltraGCN, NESCL), where sampled blocks leave out the pair's own edge: at most 1 / c_ij of a weight.
    """
    asked = {ITEM: config.item_neighbours, USER: config.user_neighbours}
    wanted = {node_type for node_type, one in asked.items() if one is not None}
    if set(similar) != wanted:
        raise UsageError(
            f"the graph asks for similar nodes of {sorted(wanted)} and got {sorted(similar)}", "Pass Phase.similar"
        )
    for node_type, table in similar.items():
        _add(relations, (node_type, f"similar_{node_type}s", node_type), symmetric(table))


def _check_weights_of_behaviors(interactions: Interactions, config: GraphConfig, target: str) -> None:
    for behavior, factor in config.behavior_weights.items():
        if behavior not in interactions.behaviors:
            hint = nearest(behavior, interactions.behaviors) or f"The log has {list(interactions.behaviors)}"
            raise ConfigError(f"graph.behavior_weights names {behavior!r}, which is not a behaviour of the log", hint)
        if not math.isfinite(factor) or factor < 0:
            raise ConfigError(
                f"graph.behavior_weights.{behavior} = {factor} is not a weight", "Give a number ≥ 0; 0 leaves it out"
            )
    if config.behavior_weights.get(target, 1.0) == 0:
        raise ConfigError(f"the target behaviour {target!r} has weight 0", "Give it a weight above 0")
    if not interactions.of(target).any():
        raise DataError(
            f"no row is of the target behaviour {target!r}", "Choose another graph.target, or check the split"
        )


def _row_weights(interactions: Interactions, config: GraphConfig) -> NDArray[np.float64]:
    """(n,) log weight × time decay of each row, > 0."""
    weight = np.ones(len(interactions))
    if config.use_weights:
        weight *= _checked(interactions.weight)
    if config.half_life_days is not None:
        weight *= _decay(interactions.time, config.half_life_days)
    return weight


def _checked(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    wrong = ~(np.isfinite(weight) & (weight > 0))
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} of {len(weight)} rows have a weight that is not a number above 0, the first {weight[wrong][0]}",
            "Drop or mend those rows, or set graph.use_weights = false",
        )
    return weight


def _decay(time: NDArray[np.int64] | None, half_life_days: float) -> NDArray[np.float64]:
    if time is None:
        raise ConfigError(
            f"graph.half_life_days = {half_life_days} needs times, and the log has none",
            "Name the time column (data.time_col), or leave half_life_days out",
        )
    age_days = (time.max() - time) / _DAY_SECONDS
    return np.asarray(np.exp2(-age_days / half_life_days))

"""Typed tables → the heterogeneous graph: a relation per behaviour, attribute and file of edges,
with their reverses.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import polars as pl
from scipy import sparse

from recsys.core.arrays import BoolArray
from recsys.core.config import GraphConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import ConfigError, DataError, UsageError, nearest
from recsys.core.history import EdgeWeighting
from recsys.core.interactions import Interactions
from recsys.core.tables import Drops
from recsys.graph.attributes import read_attribute, read_features
from recsys.graph.edge_table import EdgeTable, adjacency_of, labels_of
from recsys.graph.edges import collapse, symmetric, transpose
from recsys.graph.relations import edges_of_phase
from recsys.graph.schema import (
    ITEM,
    USER,
    Adjacency,
    AttributeLabels,
    EdgeType,
    Graph,
    NodeType,
    reverse,
    similar_relation,
)
from recsys.graph.sessions import NEXT, session_edges
from recsys.graph.weights import check_weights, edge_weighting

__all__ = ["AttributeLabels", "build_graph", "target_behavior"]


def build_graph(
    interactions: Interactions,
    config: GraphConfig,
    item_table: pl.DataFrame | None = None,
    user_table: pl.DataFrame | None = None,
    similar: Mapping[NodeType, sparse.csr_matrix] | None = None,
    relations: Sequence[EdgeRows] = (),
    until: int | None = None,
) -> Graph:
    """The graph of one phase.

    The weight of an edge between user and item is given in `core.history`, held within the positive
    float32 numbers; its time is that of the latest row. A behaviour of weight 0, or without a row in
    this phase, makes no relation.

    Args:
        interactions: rows of the phase.
        config: what becomes an edge.
        item_table, user_table: attributes, one row per internal id of the phase, in that order.
        similar: (nodes, nodes) similarities by node type, for config.item_neighbours and
            config.user_neighbours, made from rows of this phase alone. They become the symmetric
            relations "similar_items" and "similar_users".
        relations: rows of config.relations; one without an edge in this phase is left out
            (`left_out` names it).
        until: last moment that the phase may know; None for no limit.

    Raises:
        ConfigError, DataError: a key or value does not fit.
        UsageError: tables that were not asked for, or are missing.
    """
    target = target_behavior(interactions.behaviors, config)
    _check_weights_of_behaviors(interactions, config, target)
    num_nodes: dict[NodeType, int] = {USER: interactions.num_users, ITEM: interactions.num_items}
    side_tables = {USER: user_table, ITEM: item_table}
    graph_relations: dict[EdgeType, Adjacency] = {}
    drops = _add_behaviors(graph_relations, interactions, config)
    tables, dropped_rows = _edge_tables(config, side_tables, interactions, relations, until)
    feature_columns = [column for column in config.attributes if column.use == "feature"]
    features, without_feature = read_features(feature_columns, side_tables, num_nodes)
    labels = labels_of(tables)
    num_nodes |= {node_type: len(values) for node_type, values in labels.items()}
    for table in tables:
        adjacency = adjacency_of(table, labels, num_nodes)
        _add(graph_relations, table.edge_type, adjacency, table.directed)
    _add_similar(graph_relations, similar or {}, config)
    return Graph(
        num_nodes=num_nodes,
        relations=graph_relations,
        target=(USER, target, ITEM),
        labels=labels,
        drops=drops + dropped_rows + without_feature,
        features=features,
    )


def left_out(
    graph: Graph, config: GraphConfig, relations: Sequence[EdgeRows], behaviors: Sequence[str] = ()
) -> list[str]:
    """Names of relations and behaviours that were asked for and have no edge in the graph."""
    names = [behavior for behavior in behaviors if config.behavior_weights.get(behavior, 1.0)]
    names += [relation.name for relation in relations]
    if config.sessions is not None:
        names.append(NEXT)
    present = {name for _, name, _ in graph.relations}
    return [name for name in names if name not in present]


def target_behavior(behaviors: Sequence[str], config: GraphConfig) -> str:
    """The behaviour to predict: config.target, or the only one. Raises ConfigError when it is not
    decided.
    """
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


def _add_behaviors(
    relations: dict[EdgeType, Adjacency], interactions: Interactions, config: GraphConfig
) -> Drops:
    """A relation for every behaviour with rows and a weight; returns the rows left out."""
    drops = Drops()
    if config.use_weights:
        check_weights(interactions.weight)
    for behavior in interactions.behaviors:
        rows = interactions.of(behavior)
        weighting = edge_weighting(interactions, config, behavior)
        if not rows.any():
            continue
        if weighting.behavior_weight == 0:
            drops[f"behavior {behavior} has weight 0"] = int(rows.sum())
            continue
        edges = _behavior_edges(interactions, rows, weighting)
        _add(relations, (USER, behavior, ITEM), edges)
    return drops


def _add(
    relations: dict[EdgeType, Adjacency],
    edge_type: EdgeType,
    adjacency: Adjacency,
    directed: bool = True,
) -> None:
    """A relation and its reverse. Raises ConfigError when its name is taken: names alone must tell
    relations apart.
    """
    name = edge_type[1]
    taken = {relation for _, relation, _ in relations}
    if name in taken or f"rev_{name}" in taken or name.startswith("rev_"):
        raise ConfigError(
            f"two relations of the graph would be called {name!r} or look like a reverse (rev_…)",
            "Rename that behaviour, attribute column or relation",
        )
    relations[edge_type] = adjacency
    if directed:
        relations[reverse(edge_type)] = transpose(adjacency)


def _behavior_edges(
    interactions: Interactions, rows: BoolArray, weighting: EdgeWeighting
) -> Adjacency:
    moments = interactions.moments
    time = None if moments is None else moments[rows]
    return collapse(
        destination=interactions.item[rows],
        source=interactions.user[rows],
        weight=weighting.of_rows(interactions.weight[rows], time),
        time=time,
        num_dst=interactions.num_items,
        num_src=interactions.num_users,
    )


def _edge_tables(
    config: GraphConfig,
    side_tables: dict[NodeType, pl.DataFrame | None],
    interactions: Interactions,
    relations: Sequence[EdgeRows],
    until: int | None,
) -> tuple[list[EdgeTable], Drops]:
    """Attributes, then relations that have an edge; and the rows and nodes that gave none."""
    configured = {relation.name for relation in config.relations}
    absent = configured - {relation.name for relation in relations}
    if absent or (config.knowledge and not relations):
        raise UsageError(
            f"graph.relations or graph.knowledge has no rows of {sorted(absent)}",
            "Pass what read_relations gives",
        )
    num_owners = {USER: interactions.num_users, ITEM: interactions.num_items}
    tables: list[EdgeTable] = []
    linked: list[EdgeTable] = []
    drops = Drops()
    for attribute in config.attributes:
        if attribute.use == "nodes":
            side = attribute.side
            table, without_value = read_attribute(attribute, side_tables[side], num_owners[side])
            tables.append(table)
            drops += without_value
    for relation in relations:
        table, dropped_rows = edges_of_phase(relation, interactions, until)
        linked.append(table)
        drops += dropped_rows
    if config.sessions:
        linked.append(session_edges(interactions, config.sessions))
    tables += [table for table in linked if len(table)]
    return tables, drops


def _add_similar(
    relations: dict[EdgeType, Adjacency],
    similar: Mapping[NodeType, sparse.csr_matrix],
    config: GraphConfig,
) -> None:
    """A symmetric relation for every table.

    The user of a pair to predict is one of the users counted in its item's similarities, as in
    other published uses of co-occurrence (UltraGCN, NESCL), where sampled blocks leave out the
    pair's own edge: at most 1 / c_ij of a weight.
    """
    configured = {ITEM: config.item_neighbours, USER: config.user_neighbours}
    node_types = {kind for kind, neighbours in configured.items() if neighbours is not None}
    if set(similar) != node_types:
        raise UsageError(
            f"the graph asks for similar nodes of {sorted(node_types)} and got {sorted(similar)}",
            "Pass Phase.similar",
        )
    for node_type, table in similar.items():
        edge_type = (node_type, similar_relation(node_type), node_type)
        _add(relations, edge_type, symmetric(table), directed=False)


def require_behaviors(key: str, names: Iterable[str], interactions: Interactions) -> None:
    """Raises ConfigError when a configured name is no behaviour of the log."""
    for name in names:
        if name not in interactions.behaviors:
            hint = (
                nearest(name, interactions.behaviors)
                or f"The log has {list(interactions.behaviors)}"
            )
            raise ConfigError(f"{key} names {name!r}, which is not a behaviour of the log", hint)


def _check_weights_of_behaviors(
    interactions: Interactions, config: GraphConfig, target: str
) -> None:
    require_behaviors("graph.behavior_weights", config.behavior_weights, interactions)
    require_behaviors("graph.behavior_half_life_days", config.behavior_half_life_days, interactions)
    require_behaviors("graph.negative_behaviors", config.negative_behaviors, interactions)
    if target in config.negative_behaviors:
        raise ConfigError(
            f"the target behaviour {target!r} is among graph.negative_behaviors", "Take it out"
        )
    for behavior, factor in config.behavior_weights.items():
        if not math.isfinite(factor) or factor < 0:
            raise ConfigError(
                f"graph.behavior_weights.{behavior} = {factor} is not a weight",
                "Give a number ≥ 0; 0 leaves it out",
            )
    if config.behavior_weights.get(target, 1.0) == 0:
        raise ConfigError(
            f"the target behaviour {target!r} has weight 0", "Give it a weight above 0"
        )
    if not interactions.of(target).any():
        raise DataError(
            f"no row is of the target behaviour {target!r}",
            "Choose another graph.target, or check the split",
        )

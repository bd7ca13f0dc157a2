"""The parts of a graph that come from one key of its configuration: what an ablation takes away."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from recsys.core.config import GraphConfig
from recsys.graph.schema import ITEM, USER, Features, Graph, similar_relation
from recsys.graph.sessions import NEXT


def configured_parts(config: GraphConfig) -> list[str]:
    """Names of everything that a configuration adds to the target behaviour.

    A column, a relation, a knowledge graph with all its kinds, sessions, similar nodes, and other
    behaviours where the configuration names them.
    """
    names = []
    for behavior, weight in config.behavior_weights.items():
        if weight and behavior != config.target:
            names.append(behavior)
    names += config.negative_behaviors
    names += [attribute.column for attribute in config.attributes]
    names += [relation.name for relation in config.relations]
    names += [knowledge.name for knowledge in config.knowledge]
    if config.sessions:
        names.append(NEXT)
    if config.item_neighbours:
        names.append(similar_relation(ITEM))
    if config.user_neighbours:
        names.append(similar_relation(USER))
    return list(dict.fromkeys(names))


def part_of(relation: str, parts: Iterable[str]) -> str:
    """The part that a relation belongs to: "rev_genres" → "genres", "kg:actor" → "kg" where that is
    among `parts`.
    """
    name = relation.removeprefix("rev_")
    head = name.partition(":")[0]
    return name if name in parts or head not in parts else head


def has_part(graph: Graph, part: str) -> bool:
    """Whether a relation or a feature column of the graph belongs to a part."""
    names = {part_of(relation, [part]) for _, relation, _ in graph.relations}
    for features in graph.features.values():
        names |= {column.column for column in features.columns}
    return part in names


def without(graph: Graph, part: str) -> Graph:
    """The graph without the relations and feature columns of a part.

    Nodes that nothing leads to any more go with them.
    """
    relations = {}
    linked = {USER, ITEM}
    for edge_type, adjacency in graph.relations.items():
        source, name, destination = edge_type
        if part_of(name, [part]) != part:
            relations[edge_type] = adjacency
            linked |= {source, destination}
    nodes = {kind: count for kind, count in graph.num_nodes.items() if kind in linked}
    labels = {kind: values for kind, values in graph.labels.items() if kind in linked}
    features = {}
    for kind, features_of_kind in graph.features.items():
        remaining = _without_column(features_of_kind, part)
        if remaining.columns:
            features[kind] = remaining
    return replace(graph, num_nodes=nodes, relations=relations, labels=labels, features=features)


def _without_column(features: Features, name: str) -> Features:
    """The features of a node type without those of one column of its table."""
    columns, values = [], []
    start = 0
    for column in features.columns:
        end = start + column.width
        if column.column != name:
            columns.append(column)
            values.append(features.values[:, start:end])
        start = end
    if not columns:
        return Features((), features.values[:, :0])
    return Features(tuple(columns), torch.cat(values, dim=1))

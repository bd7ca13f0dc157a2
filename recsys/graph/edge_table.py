"""Edges whose nodes have no numbers yet: what attributes and relations give before the graph's
nodes are counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.core.arrays import FloatArray, Int64Array, IntArray
from recsys.graph.edges import collapse
from recsys.graph.schema import ITEM, USER, Adjacency, AttributeLabels, EdgeType, NodeType

_OWN_IDS = (USER, ITEM)


@dataclass(frozen=True)
class EdgeTable:
    """Edges of one relation.

    edge_type: the relation.
    source, destination: (n,) internal ids of users and items, text of other nodes.
    weight: (n,).
    time: (n,) unix seconds, or None.
    directed: false links both ways between nodes of one type.
    """

    edge_type: EdgeType
    source: pl.Series
    destination: pl.Series
    weight: FloatArray
    time: Int64Array | None = None
    directed: bool = True

    def __len__(self) -> int:
        return len(self.source)

    @property
    def ends(self) -> tuple[tuple[NodeType, pl.Series], tuple[NodeType, pl.Series]]:
        """The node types of source and destination, with their nodes."""
        source_type, _, destination_type = self.edge_type
        return (source_type, self.source), (destination_type, self.destination)


def labels_of(tables: Iterable[EdgeTable]) -> AttributeLabels:
    """What the nodes of each type that is neither users nor items stand for: every value at an end
    of that type.
    """
    columns: dict[NodeType, list[pl.Series]] = {}
    for table in tables:
        for node_type, values in table.ends:
            if node_type not in _OWN_IDS:
                columns.setdefault(node_type, []).append(values.rename("label"))
    labels = {}
    for node_type, values_of_type in columns.items():
        distinct = pl.concat(values_of_type).unique()
        labels[node_type] = tuple(distinct.sort())
    return labels


def adjacency_of(
    table: EdgeTable, labels: AttributeLabels, num_nodes: dict[NodeType, int]
) -> Adjacency:
    """The table as a relation, its nodes numbered; both ways in one when it is not directed."""
    source_type, _, destination_type = table.edge_type
    source = _numbers(table.source, labels.get(source_type))
    destination = _numbers(table.destination, labels.get(destination_type))
    weight, time = table.weight, table.time
    if not table.directed:
        source, destination, weight, time = _both_ways(source, destination, weight, time)
    return collapse(
        destination, source, weight, time, num_nodes[destination_type], num_nodes[source_type]
    )


def _numbers(values: pl.Series, labels: tuple[str, ...] | None) -> IntArray:
    """(n,) the nodes' numbers: values are numbers already where there are no labels."""
    if labels is None:
        return values.to_numpy()
    return pl.Series(labels, dtype=pl.String).search_sorted(values).to_numpy()


def _both_ways(
    source: IntArray,
    destination: IntArray,
    weight: FloatArray,
    time: Int64Array | None,
) -> tuple[IntArray, IntArray, FloatArray, Int64Array | None]:
    """Every pair in both directions, once: with the larger weight and the later time."""
    columns = {
        "low": np.minimum(source, destination),
        "high": np.maximum(source, destination),
        "weight": weight,
    }
    if time is not None:
        columns["time"] = time
    pairs = pl.DataFrame(columns).group_by("low", "high").max()
    low, high = pairs["low"].to_numpy(), pairs["high"].to_numpy()
    both_weights = np.tile(pairs["weight"].to_numpy(), 2)
    both_times = None if time is None else np.tile(pairs["time"].to_numpy(), 2)
    return np.concatenate([low, high]), np.concatenate([high, low]), both_weights, both_times

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
    """Edges of one relation. source, destination: (n,) dense ids of users and items, text of other
    nodes.

    weight: (n,). time: (n,) unix seconds, or None. directed: false links both ways between nodes of
    one type.
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
        return (self.edge_type[0], self.source), (self.edge_type[2], self.destination)


def labels_of(tables: Iterable[EdgeTable]) -> AttributeLabels:
    """What the nodes of each type that is neither users nor items stand for: every value at an end
    of that type.
    """
    found: dict[NodeType, list[pl.Series]] = {}
    for table in tables:
        for node_type, values in table.ends:
            if node_type not in _OWN_IDS:
                found.setdefault(node_type, []).append(values.rename("label"))
    return {
        node_type: tuple(pl.concat(values).unique().sort()) for node_type, values in found.items()
    }


def adjacency_of(
    table: EdgeTable, labels: AttributeLabels, num_nodes: dict[NodeType, int]
) -> Adjacency:
    """The table as a relation, its nodes numbered; both ways in one when it is not directed."""
    source, destination = (
        _numbers(values, labels.get(node_type)) for node_type, values in table.ends
    )
    weight, time = table.weight, table.time
    if not table.directed:
        source, destination, weight, time = _both_ways(source, destination, weight, time)
    num_src, num_dst = (num_nodes[node_type] for node_type, _ in table.ends)
    return collapse(destination, source, weight, time, num_dst, num_src)


def _numbers(values: pl.Series, labels: tuple[str, ...] | None) -> IntArray:
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
    pairs = pl.DataFrame(columns if time is None else columns | {"time": time})
    once = pairs.group_by("low", "high").max()
    low, high, heavier = (once[name].to_numpy() for name in ("low", "high", "weight"))
    known = None if time is None else np.tile(once["time"].to_numpy(), 2)
    return np.concatenate([low, high]), np.concatenate([high, low]), np.tile(heavier, 2), known

"""What a graph says of its items beside who took them: the values that a table of new items can
give too.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from scipy import sparse

from recsys.core.features import FEATURE
from recsys.graph.schema import ITEM, Adjacency, Graph, NodeType, reverse


def item_traits(
    graph: Graph, links: Iterable[str] = ()
) -> dict[str, tuple[NodeType, sparse.csr_matrix]]:
    """By name, the node type of the values, and which items have which: (items, values) 0/1.

    Nodes of the type "item:genres" are the values of "genres", whatever relations lead there.
    links: relations between items that come from outside the log; the values of one are the items
    that an item links to. Columns that are features have the type FEATURE and their numbers in
    place of 0/1.
    """
    found = {}
    for kind in sorted(kind for kind in graph.num_nodes if kind.startswith(f"{ITEM}:")):
        into = [
            edges
            for (source, _, end), edges in graph.relations.items()
            if (source, end) == (kind, ITEM)
        ]
        if any(edges.num_edges for edges in into):
            found[kind.partition(":")[2]] = (kind, _either(into))
    for name in links:
        edges = _outgoing(graph.relations, name)
        if edges is not None and edges.num_edges:
            found[name] = (ITEM, _either([edges]))
    for name, numbers in _features(graph):
        found.setdefault(name, (FEATURE, numbers))
    return found


def _features(graph: Graph) -> Iterator[tuple[str, sparse.csr_matrix]]:
    """By column, (items, numbers) of what is a feature of items."""
    if ITEM not in graph.features:
        return
    start, features = 0, graph.features[ITEM]
    for column in features.columns:
        yield (
            column.column,
            sparse.csr_matrix(features.values[:, start : start + column.width].numpy()),
        )
        start += column.width


def _outgoing(relations: Mapping[tuple[str, str, str], Adjacency], name: str) -> Adjacency | None:
    """Edges of a relation between items, a row for each item that links; a relation without a
    reverse links both ways.
    """
    edge_type = (ITEM, name, ITEM)
    return relations.get(reverse(edge_type), relations.get(edge_type))


def _either(relations: list[Adjacency]) -> sparse.csr_matrix:
    """1 where any of the relations has an edge."""
    total = sum(
        sparse.csr_matrix(
            (np.ones(edges.num_edges, np.float32), edges.indices.numpy(), edges.indptr.numpy()),
            shape=(edges.num_dst, edges.num_src),
        )
        for edges in relations
    )
    matrix = sparse.csr_matrix(total)
    matrix.data[:] = 1.0
    return matrix

"""What a graph says of its items beside who had them: the values that a table of new items can give
too.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import sparse

from recsys.core.features import FEATURE
from recsys.graph.schema import ITEM, Adjacency, Graph, NodeType, reverse


def values_of_items(
    graph: Graph, links: Iterable[str] = ()
) -> dict[str, tuple[NodeType, sparse.csr_matrix]]:
    """By feature, the node type of its values, and which items have which: (items, values) 0/1.

    Nodes of the type "item:genres" are the values of "genres", whatever relations lead there.
    Columns of numbers have the type FEATURE, and their numbers in place of 0/1.

    links: relations between items that come from outside the log; the values of one are the items
        that an item links to.
    """
    values: dict[str, tuple[NodeType, sparse.csr_matrix]] = {}
    prefix = f"{ITEM}:"
    for kind in sorted(graph.num_nodes):
        if not kind.startswith(prefix):
            continue
        edges = _edges_into_items(graph, kind)
        if any(adjacency.num_edges for adjacency in edges):
            name = kind.removeprefix(prefix)
            values[name] = (kind, _any_edge(edges))
    for name in links:
        linked = _outgoing(graph, name)
        if linked is not None and linked.num_edges:
            values[name] = (ITEM, _any_edge([linked]))
    for name, numbers in _number_columns(graph):
        if name not in values:
            values[name] = (FEATURE, numbers)
    return values


def _edges_into_items(graph: Graph, kind: NodeType) -> list[Adjacency]:
    """Edges from nodes of a type into items, of whatever relation."""
    edges = []
    for (source, _, destination), adjacency in graph.relations.items():
        if source == kind and destination == ITEM:
            edges.append(adjacency)
    return edges


def _number_columns(graph: Graph) -> Iterator[tuple[str, sparse.csr_matrix]]:
    """By column of numbers, (items, numbers)."""
    if ITEM not in graph.features:
        return
    features = graph.features[ITEM]
    start = 0
    for column in features.columns:
        stop = start + column.width
        numbers = features.values[:, start:stop].numpy()
        yield column.column, sparse.csr_matrix(numbers)
        start = stop


def _outgoing(graph: Graph, name: str) -> Adjacency | None:
    """Edges of a relation between items, a row for each item that links; a relation without a
    reverse links both ways.
    """
    edge_type = (ITEM, name, ITEM)
    both_ways = graph.relations.get(edge_type)
    return graph.relations.get(reverse(edge_type), both_ways)


def _any_edge(relations: Sequence[Adjacency]) -> sparse.csr_matrix:
    """1 where any of the relations has an edge."""
    shape = (relations[0].num_dst, relations[0].num_src)
    num_edges = sparse.csr_matrix(shape, dtype=np.float32)
    for adjacency in relations:
        ones = np.ones(adjacency.num_edges, np.float32)
        indices, indptr = adjacency.indices.numpy(), adjacency.indptr.numpy()
        num_edges = num_edges + sparse.csr_matrix((ones, indices, indptr), shape=shape)
    # Two relations may hold the same edge, and one may hold it twice.
    num_edges.data[:] = 1.0
    return num_edges

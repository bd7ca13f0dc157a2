"""What a graph knows of items beside who took them, as rows of items that belong together."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from recsys.graph.schema import ITEM, USER, Adjacency, Graph, similar_relation
from recsys.graph.sessions import NEXT

# A row of n items counts n^(−½) a pair; on Yelp's and Amazon's validation better than n^(−1).
_SIZE_POWER = 0.25


def baskets(graph: Graph) -> sparse.csr_matrix:
    """(rows, items) float32: a row for each value of an attribute and for each item that others are
    linked to.

    Of an attribute the items that have the value; of a link between items an item with its
    neighbours; whole rows scaled by n^(−¼), n being their number of items, so that a rare value
    says more. Rows of a single item are left out.
    """
    blocks = [sparse.csr_matrix((0, graph.num_nodes[ITEM]), dtype=np.float32)]
    for rows in _rows(graph):
        blocks.append(_scaled(rows))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _rows(graph: Graph) -> Iterator[sparse.csr_matrix]:
    """(rows, items) 0/1 of each relation between items and anything but users, that is not counted
    in the log itself.
    """
    for (source, name, destination), edges in graph.relations.items():
        if destination != ITEM or source == USER or name in (similar_relation(ITEM), NEXT):
            continue
        incidence = _incidence(edges)
        if source != ITEM:
            yield incidence.T.tocsr()
        elif not name.startswith("rev_"):
            # An item belongs to its own row, and links count both ways.
            identity = sparse.eye(graph.num_nodes[ITEM], format="csr", dtype=np.float32)
            both_ways = incidence + incidence.T
            yield (both_ways + identity).sign().tocsr()


def _incidence(edges: Adjacency) -> sparse.csr_matrix:
    """(destinations, sources) 0/1."""
    ones = np.ones(edges.num_edges, np.float32)
    indices, indptr = edges.indices.numpy(), edges.indptr.numpy()
    return sparse.csr_matrix((ones, indices, indptr), (edges.num_dst, edges.num_src))


def _scaled(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows of several items, scaled by n^(−¼)."""
    # n of each row; a pair within it counts scale² = n^(−½).
    sizes = np.diff(rows.indptr)
    several = sizes > 1
    scale = sizes[several].astype(np.float64) ** -_SIZE_POWER
    return sparse.diags(scale) @ rows[several]

"""What a graph knows of items beside who took them, as rows of items that belong together."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from recsys.graph.schema import ITEM, USER, Adjacency, Graph, similar_relation
from recsys.graph.sessions import NEXT

_SIZE_POWER = 0.25  # a row of n items counts n^(−½) a pair; on Yelp's and Amazon's validation better than n^(−1)


def baskets(graph: Graph) -> sparse.csr_matrix:
    """(rows, items) float32: a row for each value of an attribute and for each item that others are
    linked to.

    Of an attribute the items that have the value; of a link between items an item with its
    neighbours; whole rows scaled by n^(−¼), n being their number of items, so that a rare value
    says more. Rows of a single item are left out.
    """
    rows = [_scaled(found) for found in _rows(graph)]
    nothing = sparse.csr_matrix((0, graph.num_nodes[ITEM]), dtype=np.float32)
    return sparse.vstack([nothing, *rows], format="csr", dtype=np.float32)


def _rows(graph: Graph) -> Iterator[sparse.csr_matrix]:
    """(rows, items) 0/1 of each relation between items and anything but users, that is not counted
    in the log itself.
    """
    for (source, name, destination), edges in graph.relations.items():
        if destination != ITEM or source == USER or name in (similar_relation(ITEM), NEXT):
            continue
        if source != ITEM:
            yield _incidence(edges).T.tocsr()
        elif not name.startswith("rev_"):
            own = sparse.eye(graph.num_nodes[ITEM], format="csr", dtype=np.float32)
            yield (_incidence(edges) + _incidence(edges).T + own).sign().tocsr()


def _incidence(edges: Adjacency) -> sparse.csr_matrix:
    """(destinations, sources) 0/1."""
    values = np.ones(edges.num_edges, np.float32)
    return sparse.csr_matrix(
        (values, edges.indices.numpy(), edges.indptr.numpy()), (edges.num_dst, edges.num_src)
    )


def _scaled(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    sizes = np.diff(rows.indptr)
    kept = rows[sizes > 1]
    return sparse.diags(sizes[sizes > 1].astype(np.float64) ** -_SIZE_POWER) @ kept

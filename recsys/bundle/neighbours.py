"""Edges of a graph into its users, as a bundle keeps them."""

from collections.abc import Mapping
from typing import Any, Protocol

from scipy import sparse


class Edges(Protocol):
    """A CSR of tensors by destination, as in `recsys.graph.schema.Adjacency`."""

    @property
    def indptr(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def weight(self) -> Any: ...
    @property
    def num_src(self) -> int: ...


def neighbours_into_users(
    relations: Mapping[tuple[str, str, str], Edges],
) -> dict[str, sparse.csr_matrix]:
    """(users, sources) edge weights of every relation that ends in users, by relation name."""
    neighbours = {}
    for (_, relation, destination), edges in relations.items():
        if destination == "user":
            arrays = (edges.weight.numpy(), edges.indices.numpy(), edges.indptr.numpy())
            shape = (len(edges.indptr) - 1, edges.num_src)
            neighbours[relation] = sparse.csr_matrix(arrays, shape=shape)
    return neighbours

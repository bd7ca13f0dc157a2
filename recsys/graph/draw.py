"""Neighbours drawn without replacement, straight from CSR rows: the same arguments give the same
draws anywhere.

Nothing is kept between calls, so draws do not depend on threads, processes or on what was drawn
before.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray, Int32Array, Int64Array, IntArray
from recsys.graph.schema import Adjacency, EdgeType, Graph

ALL = -1


class Drawn(NamedTuple):
    """Edges drawn for some rows of a relation.

    position: (edges,) where each edge stands in the relation's arrays, row after row. per_row:
    (rows,) edges a row.
    """

    position: Int64Array
    per_row: Int64Array


class Draw(Protocol):
    """A way to draw edges; CsrDraw is the default, DglDraw (dgl_graph.py) does it by DGL."""

    def __call__(
        self, edge_type: EdgeType, rows: Int64Array, fanout: int, key: tuple[int, ...]
    ) -> Drawn:
        """Up to `fanout` distinct edges (ALL: every one) into each of `rows`, the same for the same
        `key`.
        """
        ...


class CsrDraw:
    """Draws every subset of a neighbourhood with the same probability."""

    def __init__(self, graph: Graph) -> None:
        self._indptr = {
            edge_type: adjacency.indptr.numpy() for edge_type, adjacency in graph.relations.items()
        }

    def __call__(
        self, edge_type: EdgeType, rows: Int64Array, fanout: int, key: tuple[int, ...]
    ) -> Drawn:
        indptr = self._indptr[edge_type]
        start = indptr[rows].astype(np.int64)
        return draw_from_runs(start, indptr[rows + 1] - start, fanout, key)


def draw_from_runs(
    start: Int64Array, length: Int64Array, fanout: int, key: tuple[int, ...]
) -> Drawn:
    """Up to `fanout` distinct positions from each run start[r] … start[r] + length[r] − 1.

    A run no longer than `fanout` is taken whole, in order. key: non-negative integers.
    """
    count = length if fanout == ALL else np.minimum(length, fanout)
    end = np.cumsum(count)
    begin = end - count
    position = np.repeat(start - begin, count)
    position += np.arange(len(position))
    longer = np.flatnonzero(length > count)
    if len(longer):
        first, place = start[longer], begin[longer]
        for step, offset in enumerate(subsets(length[longer].astype(np.int32), fanout, key)):
            position[place + step] = first + offset
    return Drawn(position, count)


def subsets(size: Int32Array, k: int, key: tuple[int, ...]) -> Int32Array:
    """(k, n): column c holds k distinct numbers of 0 … size[c] − 1, every subset equally likely; k
    ≤ size.

    Floyd's algorithm, all columns at once (Bentley and Floyd, "A sample of brilliance", CACM 30(9),
    1987): step j takes a random number of 0 … size − k + j, or that bound itself when the number
    was taken before.
    """
    chosen = np.empty((k, len(size)), np.int32)
    bits = _random_bits(k * len(size), key).reshape(k, len(size))
    for step in range(k):
        bound = size - (k - step)
        candidate = ((bits[step] * (bound + 1).astype(np.uint64)) >> np.uint64(32)).astype(np.int32)
        taken = (chosen[:step] == candidate).any(axis=0)
        chosen[step] = np.where(taken, bound, candidate)
    return chosen


def _random_bits(count: int, key: tuple[int, ...]) -> NDArray[np.uint32]:
    """(count,) random 32-bit words. numpy promises the raw stream of a bit generator for all its
    versions.
    """
    words: NDArray[np.uint64] = np.random.SFC64(np.random.SeedSequence(key)).random_raw(
        (count + 1) // 2
    )
    return words.view(np.uint32)[:count]


def find_edges(adjacency: Adjacency, rows: Int64Array, columns: Int64Array) -> Int64Array:
    """Positions of the edges (column → row) that exist among the pairs given; others are left out."""
    indptr, indices = adjacency.indptr.numpy(), adjacency.indices.numpy()
    place = first_not_below(indices, indptr[rows], indptr[rows + 1], columns)
    inside = np.flatnonzero(place < indptr[rows + 1])
    found = place[inside]
    present: BoolArray = indices[found] == columns[inside]
    return found[present]


def first_not_below(
    values: IntArray,
    low: IntArray,
    high: IntArray,
    wanted: IntArray,
) -> Int64Array:
    """For each q the first place of values[low[q]:high[q]], ascending, that holds at least
    wanted[q]; else high[q].
    """
    first, last = low.astype(np.int64), high.astype(np.int64)
    while (searching := first < last).any():
        middle = (first + last) // 2
        below = values[np.where(searching, middle, 0)] < wanted
        first = np.where(searching & below, middle + 1, first)
        last = np.where(searching & ~below, middle, last)
    return first

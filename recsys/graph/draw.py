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

    position: (edges,) where each edge stands in the relation's arrays, row after row.
    per_row: (rows,) edges a row.
    """

    position: Int64Array
    per_row: Int64Array

    def of_rows(self, rows: slice) -> "Drawn":
        """What was drawn for some of the rows, one after the other."""
        ends = np.cumsum(self.per_row)
        per_row = self.per_row[rows]
        # Before the first of these rows lie the edges of all rows above it.
        first = int(ends[rows][0] - per_row[0]) if len(per_row) else 0
        return Drawn(self.position[first : first + int(per_row.sum())], per_row)


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
        self._indptr = {}
        for edge_type, adjacency in graph.relations.items():
            self._indptr[edge_type] = adjacency.indptr.numpy()

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

    A run no longer than `fanout` is taken whole, in order.

    Args:
        start: (rows,) first position of each run.
        length: (rows,) of each run.
        fanout: positions a run, ALL for every one.
        key: non-negative integers; the same key gives the same draws.

    Returns:
        The positions, run after run.
    """
    count = length if fanout == ALL else np.minimum(length, fanout)
    end = np.cumsum(count)
    begin = end - count
    # Position n of the result, of run r: start[r] + (n − begin[r]).
    position = np.repeat(start - begin, count)
    position += np.arange(len(position))
    # Of longer runs these were the first `fanout`: a random subset takes their place.
    longer = np.flatnonzero(length > count)
    if len(longer):
        sizes = length[longer].astype(np.int32)
        offsets = subsets(sizes, fanout, key)
        for step in range(fanout):
            position[begin[longer] + step] = start[longer] + offsets[step]
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
        # A random number of 0 … bound: the high word of 32 random bits times bound + 1.
        product = bits[step] * (bound + 1).astype(np.uint64)
        candidate = (product >> np.uint64(32)).astype(np.int32)
        is_taken = (chosen[:step] == candidate).any(axis=0)
        chosen[step] = np.where(is_taken, bound, candidate)
    return chosen


def _random_bits(count: int, key: tuple[int, ...]) -> NDArray[np.uint32]:
    """(count,) random 32-bit words. numpy promises the raw stream of a bit generator for all its
    versions.
    """
    generator = np.random.SFC64(np.random.SeedSequence(key))
    words: NDArray[np.uint64] = generator.random_raw((count + 1) // 2)
    return words.view(np.uint32)[:count]


def find_edges(adjacency: Adjacency, rows: Int64Array, columns: Int64Array) -> Int64Array:
    """Positions of the edges column → row that exist; other pairs are left out."""
    indptr, indices = adjacency.indptr.numpy(), adjacency.indices.numpy()
    start, end = indptr[rows], indptr[rows + 1]
    # Columns of a row are ascending.
    position = first_not_below(indices, start, end, columns)
    inside = np.flatnonzero(position < end)
    position = position[inside]
    is_edge: BoolArray = indices[position] == columns[inside]
    return position[is_edge]


def first_not_below(
    values: IntArray,
    low: IntArray,
    high: IntArray,
    bound: IntArray,
) -> Int64Array:
    """Binary searches, all at once, for the first value that is at least a bound.

    Args:
        values: ascending within each values[low[q]:high[q]].
        low, high: (queries,) where each query searches.
        bound: (queries,).

    Returns:
        (queries,) the first position that holds at least bound[q]; high[q] where there is none.
    """
    first, last = low.astype(np.int64), high.astype(np.int64)
    searching = first < last
    while searching.any():
        # The answer of each query lies within first … last; searches that are over stay as they are.
        middle = (first + last) // 2
        below = values[np.where(searching, middle, 0)] < bound
        first = np.where(searching & below, middle + 1, first)
        last = np.where(searching & ~below, middle, last)
        searching = first < last
    return first

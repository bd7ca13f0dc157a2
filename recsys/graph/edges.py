"""Edge lists → CSR by destination: sorted, duplicates summed, the same bytes for the same edges."""

import numpy as np
import torch
from scipy import sparse

from recsys.core.arrays import FloatArray, Int64Array, IntArray
from recsys.core.ordering import stable_order
from recsys.graph.schema import Adjacency

_INT32_EDGES = 2**31
_FLOAT32 = np.finfo(np.float32)


def collapse(
    destination: IntArray,
    source: IntArray,
    weight: FloatArray,
    time: Int64Array | None,
    num_dst: int,
    num_src: int,
) -> Adjacency:
    """Edges in any order (n,) → one edge per pair: weights summed (in float64), time the latest."""
    by_source = stable_order(source, num_src)
    order = by_source[stable_order(destination[by_source], num_dst)]
    rows, columns = destination[order], source[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    first = np.flatnonzero(is_first)
    if len(order):
        weight = np.add.reduceat(weight[order].astype(np.float64), first)
        time = None if time is None else np.maximum.reduceat(time[order], first)
    return _adjacency(rows[first], columns[first], weight, time, num_dst, num_src)


def transpose(adjacency: Adjacency) -> Adjacency:
    """The reverse relation: sources become destinations; weights and times go with their edges."""
    source = adjacency.indices.numpy()
    order = stable_order(source, adjacency.num_src)
    return _adjacency(
        rows=source[order],
        columns=adjacency.destinations().numpy()[order],
        weight=adjacency.weight.numpy()[order],
        time=None if adjacency.time is None else adjacency.time.numpy()[order],
        num_dst=adjacency.num_src,
        num_src=adjacency.num_dst,
    )


def symmetric(table: sparse.csr_matrix) -> Adjacency:
    """Edges both ways between nodes of one type that are linked either way, with the larger of the
    two weights.
    """
    both = table.maximum(table.T).tocoo()
    return collapse(both.row, both.col, both.data, None, *both.shape)


def _adjacency(
    rows: IntArray,
    columns: IntArray,
    weight: FloatArray,
    time: Int64Array | None,
    num_dst: int,
    num_src: int,
) -> Adjacency:
    """Edges sorted by row, then column, as tensors. The model takes ln weight: none may round to 0
    or to infinity.
    """
    kind = np.int32 if len(rows) < _INT32_EDGES else np.int64
    indptr = np.zeros(num_dst + 1, dtype=kind)
    np.cumsum(np.bincount(rows, minlength=num_dst), out=indptr[1:])
    return Adjacency(
        indptr=torch.from_numpy(indptr),
        indices=torch.from_numpy(columns.astype(kind)),
        weight=torch.from_numpy(weight.clip(_FLOAT32.tiny, _FLOAT32.max).astype(np.float32)),
        num_src=num_src,
        time=None if time is None else torch.from_numpy(np.ascontiguousarray(time)),
    )

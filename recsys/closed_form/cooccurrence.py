"""Which items share users: a sparse item–item table from train alone."""

from typing import Literal

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float64Array, Int64Array
from recsys.core.errors import UsageError

Measure = Literal["cosine", "jaccard", "count"]
_BLOCK_ROWS = 4096  # items at a time: the full product of a large catalogue would not fit in memory


def cooccurrence(
    matrix: sparse.csr_matrix,
    measure: Measure = "cosine",
    top_n: int = 100,
    shrinkage: float = 0.0,
    min_shared: float = 0.0,
) -> sparse.csr_matrix:
    """Each item's `top_n` most similar other items, as rows of an (items, items) float32 table.

    With c_ij the users of both i and j, and c_i those of i: cosine c_ij / (√(c_i c_j) + shrinkage),
    Jaccard c_ij / (c_i + c_j − c_ij + shrinkage), count c_ij. matrix: (users, items) 0/1, or with
    rows scaled by √ of a user's weight. min_shared: pairs with a smaller c_ij are left out. Ties:
    the smaller id. Indices ascend. Raises UsageError for an unknown measure or top_n < 1.
    """
    if top_n < 1:
        raise UsageError(f"top_n = {top_n} similar items is less than one", "Ask for at least 1")
    if measure not in ("cosine", "jaccard", "count"):
        raise UsageError(f"unknown similarity {measure!r}", "Use cosine, jaccard or count")
    counts = np.asarray(matrix.multiply(matrix).sum(axis=0), dtype=np.float64).ravel()
    by_item = matrix.T.tocsr()
    blocks = []
    for start in range(0, matrix.shape[1], _BLOCK_ROWS):
        shared = by_item[start : start + _BLOCK_ROWS] @ matrix
        shared.data[shared.data < min_shared] = 0.0
        blocks.append(strongest(_similar(shared, start, counts, measure, shrinkage), top_n))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _similar(
    shared: sparse.csr_matrix,
    start: int,
    counts: Float64Array,
    measure: Measure,
    shrinkage: float,
) -> sparse.csr_matrix:
    """Counts of shared users of items start… with every item → similarities, the item itself left
    out.
    """
    own = np.repeat(np.arange(start, start + shared.shape[0]), np.diff(shared.indptr))
    both, other = shared.data.astype(np.float64), shared.indices
    if measure == "cosine":
        both /= np.sqrt(counts[own] * counts[other]) + shrinkage
    elif measure == "jaccard":
        both /= counts[own] + counts[other] - both + shrinkage
    both[own == other] = 0.0
    return sparse.csr_matrix((both.astype(np.float32), other, shared.indptr), shape=shared.shape)


def strongest(table: sparse.csr_matrix, top_n: int) -> sparse.csr_matrix:
    """Only the `top_n` largest positive entries of each row."""
    table.sort_indices()
    kept = [_row(table, row, top_n) for row in range(table.shape[0])]
    indptr = np.concatenate([[0], np.cumsum([len(places) for places in kept])])
    places = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    return sparse.csr_matrix((table.data[places], table.indices[places], indptr), shape=table.shape)


def _row(table: sparse.csr_matrix, row: int, top_n: int) -> Int64Array:
    """Places in `table.data` of one row's largest entries, in column order; equals at the border by
    smaller column.
    """
    first, last = table.indptr[row], table.indptr[row + 1]
    values = table.data[first:last]
    border = np.partition(values, -top_n)[-top_n] if len(values) > top_n else np.float32(0)
    above = np.flatnonzero(values > border)
    level = np.flatnonzero(values == border)[: top_n - len(above)] if border > 0 else above[:0]
    return np.asarray(np.sort(np.concatenate([above, level])) + first, dtype=np.int64)

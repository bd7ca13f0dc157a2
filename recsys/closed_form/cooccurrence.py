"""Which items share users: a sparse item–item table from train alone."""

from typing import Literal

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array, IntArray
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
    """Each item's `top_n` most similar other items, as rows of a table.

    With c_ij the users of both i and j, and c_i those of i: cosine c_ij / (√(c_i c_j) + shrinkage),
    Jaccard c_ij / (c_i + c_j − c_ij + shrinkage), count c_ij.

    Args:
        matrix: (users, items) 0/1, or with rows scaled by √ of a user's weight.
        measure: "cosine", "jaccard" or "count".
        top_n: items a row; of equally similar ones those of smaller ids.
        shrinkage: added to the denominator, so that few shared users say little.
        min_shared: pairs with a smaller c_ij are left out.

    Returns:
        (items, items) float32, indices ascending.

    Raises:
        UsageError: an unknown measure, or top_n < 1.
    """
    if top_n < 1:
        raise UsageError(f"top_n = {top_n} similar items is less than one", "Ask for at least 1")
    if measure not in ("cosine", "jaccard", "count"):
        raise UsageError(f"unknown similarity {measure!r}", "Use cosine, jaccard or count")
    # c_i: the (weighted) users of each item.
    squares = matrix.multiply(matrix)
    counts = np.asarray(squares.sum(axis=0), dtype=np.float64).ravel()

    by_item = matrix.T.tocsr()
    num_items = matrix.shape[1]
    blocks = []
    for start in range(0, num_items, _BLOCK_ROWS):
        # c_ij of a block of items with all items.
        shared = by_item[start : start + _BLOCK_ROWS] @ matrix
        shared.data[shared.data < min_shared] = 0.0
        similar = _similar(shared, start, counts, measure, shrinkage)
        blocks.append(strongest(similar, top_n))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _similar(
    shared: sparse.csr_matrix,
    start: int,
    counts: Float64Array,
    measure: Measure,
    shrinkage: float,
) -> sparse.csr_matrix:
    """Similarities of a block of items with every item, itself left out.

    Args:
        shared: (block, items) c_ij, the users that items share.
        start: first item of the block.
        counts: (items,) c_i.
        measure: see `cooccurrence`.
        shrinkage: added to the denominator.
    """
    block_items = np.arange(start, start + shared.shape[0])
    item = np.repeat(block_items, np.diff(shared.indptr))
    neighbour = shared.indices
    similarity = shared.data.astype(np.float64)
    if measure == "cosine":
        # c_ij / (√(c_i c_j) + shrinkage)
        similarity /= np.sqrt(counts[item] * counts[neighbour]) + shrinkage
    elif measure == "jaccard":
        # c_ij / (c_i + c_j − c_ij + shrinkage)
        similarity /= counts[item] + counts[neighbour] - similarity + shrinkage
    similarity[item == neighbour] = 0.0
    values = similarity.astype(np.float32)
    return sparse.csr_matrix((values, neighbour, shared.indptr), shape=shared.shape)


def strongest(table: sparse.csr_matrix, top_n: int) -> sparse.csr_matrix:
    """Only the `top_n` largest positive entries of each row, indices ascending; of equal ones those of
    smaller indices.
    """
    stays = table.data > 0
    # Only rows with more positive entries than that have to choose.
    num_positive = np.diff(_count_before(stays, table.indptr))
    for row in np.flatnonzero(num_positive > top_n):
        first, last = table.indptr[row], table.indptr[row + 1]
        stays[first:last] = False
        largest = _largest(table.data[first:last], table.indices[first:last], top_n)
        stays[first + largest] = True
    indptr = _count_before(stays, table.indptr)
    entries = (table.data[stays], table.indices[stays], indptr)
    strongest_entries = sparse.csr_matrix(entries, shape=table.shape)
    # Few are left: the whole table would take many times as long to sort.
    strongest_entries.sort_indices()
    return strongest_entries


def _count_before(flags: BoolArray, positions: IntArray) -> IntArray:
    """How many flags are set before each of some positions."""
    counts = np.zeros(len(flags) + 1, positions.dtype)
    np.cumsum(flags, out=counts[1:])
    return counts[positions]


def _largest(values: Float32Array, indices: IntArray, top_n: int) -> Int64Array:
    """Positions of the `top_n` largest positive values; of equal ones those of smaller indices."""
    if len(values) <= top_n:
        return np.flatnonzero(values > 0)
    border = np.partition(values, -top_n)[-top_n]
    if border <= 0:
        return np.flatnonzero(values > 0)
    above = np.flatnonzero(values > border)
    equal = np.flatnonzero(values == border)
    by_index = np.argsort(indices[equal])
    first_equal = equal[by_index[: top_n - len(above)]]
    return np.concatenate([above, first_equal])

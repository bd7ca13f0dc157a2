"""The item–item table: which items follow from which, by SLIM's regression on sources chosen
beforehand.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from recsys.closed_form.cooccurrence import strongest
from recsys.closed_form.costs import GRAM_BYTES
from recsys.core.arrays import Float32Array, FloatArray, Int32Array, IntArray
from recsys.core.errors import MachineError, UsageError
from recsys.core.progress import QUIET, Progress

_BLOCK_ROWS = 1024  # items at a time: the full product of a large catalogue would not fit in memory
_BLOCK_PRODUCTS = 1 << 25  # products of two entries at a time, which bound a block: 0.4 GB
_DENSE_BLOCK = 1 << 26  # numbers of a dense block: 0.25 GB
# Of the co-occurrence that chooses sources; on Gowalla's validation the best.
_USER_POWER = 0.7
_SOURCE_POWER = 0.6

Gram = Callable[[Int32Array], Float32Array]
"""Items (n,) → (n, n) how many users each two of them share."""


def item_item_tables(
    matrix: sparse.csr_matrix,
    neighbours: int,
    ridges: Sequence[float],
    progress: Progress = QUIET,
    target: sparse.csr_matrix | None = None,
) -> list[sparse.csr_matrix]:
    """For each ridge λ an (items, items) float32 table; column i holds what its sources give item
    i, none negative.

    Column i = max(0, (X_NᵀX_N + λI)^(−1) X_Nᵀ y_i) over the `neighbours` items N that co-occur most
    with i in X, i itself not among them: fsSLIM (Ning and Karypis 2011) with EASE's closed form
    (Steck 2019) in place of an iterative solver.

    Args:
        matrix: X, (rows, items), 0/1 rows of users, and beneath them any rows of items that belong
            together (SSLIM2, Ning and Karypis 2012).
        neighbours: sources an item.
        ridges: λ, one table each.
        progress: is told of every item.
        target: Y, (rows, items), X itself when absent: users who viewed speak for what others
            bought.

    Raises:
        UsageError: neighbours < 1, or a ridge that is not above 0.
    """
    if neighbours < 1:
        raise UsageError(f"{neighbours} neighbours an item is less than one", "Ask for at least 1")
    if not ridges or min(ridges) <= 0:
        raise UsageError(
            f"ridges {list(ridges)}: the regression needs each above 0", "Use 15, for example"
        )
    sources = _sources(matrix, neighbours)
    gram = _gram(matrix, matrix.tocsc())
    target_counts = None if target is None else _TargetCounts(matrix, target)
    values = np.zeros((len(ridges), sources.nnz), np.float32)
    num_items = sources.shape[0]
    with threadpool_limits(1, "blas"):  # systems of a few hundred unknowns only make threads wait
        for item in progress.track(range(num_items), "item–item table", num_items):
            entries = slice(sources.indptr[item], sources.indptr[item + 1])
            item_sources = sources.indices[entries]
            if not len(item_sources):
                continue
            # X_NᵀX_N, and X_Nᵀ y_i as its last column
            counts = gram(np.append(item_sources, np.int32(item)))
            shared = counts[:-1, -1]
            if target_counts is not None:
                shared = target_counts.of(item)[item_sources]
            values[:, entries] = _weights(counts[:-1, :-1], shared, ridges)
    return [_table(sources, weights) for weights in values]


def _sources(matrix: sparse.csr_matrix, top_n: int) -> sparse.csr_matrix:
    """(items, items): row i has an entry for the `top_n` items j of largest Σ_u r_ui r_uj
    d_u^(−0.7) · d_j^(−0.6).
    """
    user_degrees = np.asarray(matrix.sum(axis=1)).ravel()
    item_degrees = np.asarray(matrix.sum(axis=0)).ravel()
    user_scale = sparse.diags(_power(user_degrees, _USER_POWER))
    item_scale = sparse.diags(_power(item_degrees, _SOURCE_POWER))
    weighted = (user_scale @ matrix @ item_scale).tocsr()
    by_item = matrix.T.tocsr()
    blocks = []
    for rows in _runs(by_item, np.diff(weighted.indptr)):
        counts = by_item[rows] @ weighted
        item = np.repeat(np.arange(rows.start, rows.stop), np.diff(counts.indptr))
        counts.data[counts.indices == item] = 0.0
        blocks.append(strongest(counts, top_n))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _runs(by_item: sparse.csr_matrix, degrees: IntArray) -> Iterator[slice]:
    """Rows of `by_item` (items, users) whose product with the transpose is small enough to hold; at
    least one a run.
    """
    num_products = np.cumsum(degrees[by_item.indices], dtype=np.int64)
    until_row = np.concatenate([[0], num_products])[by_item.indptr]
    start, num_items = 0, by_item.shape[0]
    while start < num_items:
        limit = until_row[start] + _BLOCK_PRODUCTS
        fitting = int(np.searchsorted(until_row, limit, side="right")) - 1
        stop = max(start + 1, min(fitting, start + _BLOCK_ROWS, num_items))
        yield slice(start, stop)
        start = stop


def _gram(matrix: sparse.csr_matrix, by_item: sparse.csc_matrix) -> Gram:
    """Cut out of the whole Gram matrix where a dense one is small enough, else counted when asked."""
    num_items = matrix.shape[1]
    kind = _kind_of_counts(matrix)
    if num_items**2 * kind.itemsize <= GRAM_BYTES:
        counts = (matrix.T @ matrix).astype(kind).toarray(order="C").ravel()

        def of_dense(items: Int32Array) -> Float32Array:
            # A third of the time of counts[np.ix_(items, items)].
            places = items.astype(np.int64)
            return np.asarray(counts.take(places[:, None] * num_items + places), np.float32)

        return of_dense

    def of_columns(items: Int32Array) -> Float32Array:
        columns = by_item[:, items]
        return np.asarray((columns.T @ columns).toarray(), np.float32)

    return of_columns


def _kind_of_counts(matrix: sparse.csr_matrix) -> np.dtype[Any]:
    """The smallest type that holds the entries of XᵀX."""
    is_counted = bool((matrix.data == 1).all()) and matrix.shape[0] <= np.iinfo(np.uint16).max
    return np.dtype(np.uint16 if is_counted else np.float32)


class _TargetCounts:
    """How often items of X go with an item of Y, counted for a block of items at a time."""

    def __init__(self, matrix: sparse.csr_matrix, target: sparse.csr_matrix) -> None:
        self._matrix = matrix
        self._by_item = target.T.tocsr()
        self._block_rows = max(1, min(_BLOCK_ROWS, _DENSE_BLOCK // matrix.shape[1]))
        self._start = -1
        self._block = np.empty((0, 0), np.float32)

    def of(self, item: int) -> Float32Array:
        """(items,) of one item; items are asked for in order."""
        row = item % self._block_rows
        if item - row != self._start:
            self._start = item - row
            rows = self._by_item[self._start : self._start + self._block_rows]
            self._block = np.asarray((rows @ self._matrix).toarray(), np.float32)
        return np.asarray(self._block[row])


def _weights(gram: Float32Array, shared: Float32Array, ridges: Sequence[float]) -> Float32Array:
    """(ridges, n) the regressions' weights, negative ones at 0.

    gram: (n, n), overwritten. shared: (n,) users shared with the item.
    """
    diagonal = np.einsum("ii->i", gram).copy()
    weights = np.empty((len(ridges), len(shared)), np.float32)
    for row, ridge in enumerate(ridges):
        # (X_NᵀX_N + λI) w = X_Nᵀ y_i, by Cholesky
        np.fill_diagonal(gram, diagonal + ridge)
        _, weights[row], failed = lapack.sposv(gram, shared)
        if failed:
            # Many shared users drown a small ridge in the rounding of float32.
            exact_gram = gram.astype(np.float64)
            np.fill_diagonal(exact_gram, diagonal.astype(np.float64) + ridge)
            _, weights[row], failed = lapack.dposv(exact_gram, shared)
        if failed:
            raise MachineError(
                f"ridge {ridge:g} leaves a regression without a solution", "Use a larger one"
            )
    return np.maximum(weights, 0.0)


def _table(sources: sparse.csr_matrix, values: Float32Array) -> sparse.csr_matrix:
    """(items, items) column i the weights of item i's sources."""
    by_item = sparse.csr_matrix((values, sources.indices, sources.indptr), shape=sources.shape)
    table = by_item.T.tocsr()
    table.eliminate_zeros()
    table.sort_indices()
    return table


def _power(degrees: FloatArray, exponent: float) -> Float32Array:
    """d^(−exponent), 0 for 0."""
    powers = np.zeros(len(degrees))
    np.power(degrees, -exponent, out=powers, where=degrees > 0)
    return powers.astype(np.float32)

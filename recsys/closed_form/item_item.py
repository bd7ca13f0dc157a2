"""The item–item table: which items follow from which, by SLIM's regression on sources chosen
beforehand.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from recsys.closed_form.cooccurrence import strongest
from recsys.core.arrays import Float32Array, FloatArray, Int32Array, IntArray
from recsys.core.errors import MachineError, UsageError
from recsys.core.progress import QUIET, Progress

_BLOCK_ROWS = 1024  # items at a time: the full product of a large catalogue would not fit in memory
_BLOCK_PRODUCTS = (
    1 << 25
)  # and no more than these products of two entries, which bound what a block holds: 0.4 GB
_DENSE_BLOCK = 1 << 26  # numbers of a dense block: 0.25 GB
_DENSE_ITEMS = (
    10_000  # up to here the Gram matrix is kept dense (0.4 GB), and its parts are cut out of it
)
_USER_POWER, _SOURCE_POWER = (
    0.7,
    0.6,
)  # of the co-occurrence that chooses sources; on Gowalla's validation the best

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
    (Steck 2019) in place of an iterative solver. X: `matrix` (rows, items), 0/1 rows of users, and
    beneath them any rows of items that belong together (SSLIM2, Ning and Karypis 2012). Y: `target`
    (rows, items), X itself when absent: users who viewed speak for what others bought. Raises
    UsageError for neighbours < 1 or a ridge that is not above 0.
    """
    if neighbours < 1:
        raise UsageError(f"{neighbours} neighbours an item is less than one", "Ask for at least 1")
    if not ridges or min(ridges) <= 0:
        raise UsageError(
            f"ridges {list(ridges)}: the regression needs each above 0", "Use 15, for example"
        )
    sources, gram = _sources(matrix, neighbours), _gram(matrix, matrix.tocsc())
    shared = None if target is None else _shared(matrix, target)
    values = np.zeros((len(ridges), sources.nnz), np.float32)
    with threadpool_limits(1, "blas"):  # systems of a few hundred unknowns only make threads wait
        for item in progress.track(range(sources.shape[0]), "item–item table", sources.shape[0]):
            place = slice(sources.indptr[item], sources.indptr[item + 1])
            chosen = sources.indices[place]
            if len(chosen):
                together = gram(np.append(chosen, np.int32(item)))
                wanted = together[:-1, -1] if shared is None else shared(item)[chosen]
                values[:, place] = _weights(together[:-1, :-1], wanted, ridges)
    return [_table(sources, one) for one in values]


def _sources(matrix: sparse.csr_matrix, top_n: int) -> sparse.csr_matrix:
    """(items, items): row i has an entry for the `top_n` items j of largest Σ_u r_ui r_uj
    d_u^(−0.7) · d_j^(−0.6).
    """
    users = _power(np.asarray(matrix.sum(axis=1)).ravel(), _USER_POWER)
    items = _power(np.asarray(matrix.sum(axis=0)).ravel(), _SOURCE_POWER)
    weighted = (sparse.diags(users) @ matrix @ sparse.diags(items)).tocsr()
    by_item, blocks = matrix.T.tocsr(), []
    for rows in _runs(by_item, np.diff(weighted.indptr)):
        near = (by_item[rows] @ weighted).tocoo()
        near.data[near.col == near.row + rows.start] = 0.0
        blocks.append(strongest(near.tocsr(), top_n))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _runs(by_item: sparse.csr_matrix, degrees: IntArray) -> Iterator[slice]:
    """Rows of `by_item` (items, users) whose product with the transpose is small enough to hold; at
    least one a run.
    """
    of_entries = np.concatenate([[0], np.cumsum(degrees[by_item.indices], dtype=np.int64)])
    products, start = of_entries[by_item.indptr], 0
    while start < by_item.shape[0]:
        fitting = (
            int(np.searchsorted(products, products[start] + _BLOCK_PRODUCTS, side="right")) - 1
        )
        stop = max(start + 1, min(fitting, start + _BLOCK_ROWS, by_item.shape[0]))
        yield slice(start, stop)
        start = stop


def _gram(matrix: sparse.csr_matrix, by_item: sparse.csc_matrix) -> Gram:
    if matrix.shape[1] <= _DENSE_ITEMS:
        whole = (matrix.T @ matrix).toarray().astype(np.float32)
        return lambda items: whole[np.ix_(items, items)]

    def of_columns(items: Int32Array) -> Float32Array:
        columns = by_item[:, items]
        return np.asarray((columns.T @ columns).toarray(), np.float32)

    return of_columns


def _shared(matrix: sparse.csr_matrix, target: sparse.csr_matrix) -> Callable[[int], Float32Array]:
    """Item → (items,) how often each item of `matrix` goes with it in `target`; items are asked for
    in order.
    """
    by_item, rows = target.T.tocsr(), max(1, min(_BLOCK_ROWS, _DENSE_BLOCK // matrix.shape[1]))

    @lru_cache(1)
    def block(start: int) -> Float32Array:
        return np.asarray((by_item[start : start + rows] @ matrix).toarray(), np.float32)

    return lambda item: np.asarray(block(item - item % rows)[item % rows])


def _weights(gram: Float32Array, shared: Float32Array, ridges: Sequence[float]) -> Float32Array:
    """(ridges, n) the regressions' weights, negative ones at 0. gram: (n, n), shared: (n,) users
    shared with the item.
    """
    plain, found = np.einsum("ii->i", gram).copy(), np.empty((len(ridges), len(shared)), np.float32)
    for place, ridge in enumerate(ridges):
        np.fill_diagonal(gram, plain + ridge)
        _, found[place], failed = lapack.sposv(gram, shared)
        if failed:
            raise MachineError(
                f"ridge {ridge:g} leaves a regression without a solution", "Use a larger one"
            )
    return np.maximum(found, 0.0)


def _table(sources: sparse.csr_matrix, values: Float32Array) -> sparse.csr_matrix:
    table = sparse.csr_matrix(
        (values, sources.indices, sources.indptr), shape=sources.shape
    ).T.tocsr()
    table.eliminate_zeros()
    table.sort_indices()
    return table


def _power(degrees: FloatArray, exponent: float) -> Float32Array:
    """d^(−exponent), 0 for 0."""
    powers = np.zeros(len(degrees))
    np.power(degrees, -exponent, out=powers, where=degrees > 0)
    return powers.astype(np.float32)

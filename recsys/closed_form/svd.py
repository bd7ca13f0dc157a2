"""Truncated SVD of a sparse matrix: exact, deterministic, and in bounded work for any matrix.

A matrix falls apart into its connected components, whose triplets are those of the whole. That is
more than a saving: a log of a thousand components has one singular value a thousand times.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from recsys.closed_form.eigenvectors import TO_ROUNDING, largest_eigenvectors
from recsys.core.arrays import Float64Array, FloatArray, Int64Array
from recsys.core.errors import UsageError
from recsys.core.progress import QUIET, Progress

_SMALL_ENTRIES = 10_000  # dense components up to here are decomposed together with their equals
_TOGETHER_ENTRIES = 4_000_000  # of dense components at a time: 32 MB
_EQUAL_DIGITS = 10  # values that agree that far are taken as equal
_ZERO = 1e-13  # of the largest singular value: rounding


class Factors(NamedTuple):
    """matrix ≈ left · diag(values) · rightᵀ.

    left: (rows, rank), values: (rank,) descending, right: (columns, rank); float64, orthonormal
    columns. The entry of largest size in each column of `right` is positive.
    """

    left: Float64Array
    values: Float64Array
    right: Float64Array


class _Triplet(NamedTuple):
    """A singular value of a component, with its vectors.

    value: the singular value.
    size: entries of the component.
    rows: (a,) of the component.
    left: (a,) vector.
    columns: (b,) of the component.
    right: (b,) vector.
    """

    value: float
    size: int
    rows: Int64Array
    left: FloatArray
    columns: Int64Array
    right: FloatArray


def truncated_svd(
    matrix: sparse.csr_matrix,
    rank: int,
    seed: int = 0,
    progress: Progress = QUIET,
    residual: float = TO_ROUNDING,
) -> Factors:
    """The `rank` largest singular triplets, to rounding (a randomised SVD costs GF-CF 0.9 % of its
    Recall).

    The same arguments give the same bytes. Fewer come back where the matrix has fewer that are not
    zero. Among equal singular values of several connected components, those of the components with
    more entries come first.

    Args:
        matrix: (rows, columns), sparse.
        rank: triplets that are wanted.
        seed: of the vectors that an iteration starts from.
        progress: is told of iterations over large components.
        residual: how exact eigenvectors of large components have to be (`largest_eigenvectors`).

    Raises:
        UsageError: a rank below 1.
    """
    if rank < 1:
        raise UsageError(f"rank = {rank} singular vectors is less than one", "Ask for at least 1")
    matrix = matrix.astype(np.float64).tocsr()
    matrix.eliminate_zeros()
    # Lanczos is bound by memory: more BLAS threads only add waiting, several times over where
    # others use the cores too.
    with threadpool_limits(1, "blas"):
        triplets = list(_triplets(matrix, rank, seed, progress, residual))
    strongest = _strongest(triplets, rank)

    left = np.zeros((matrix.shape[0], len(strongest)))
    right = np.zeros((matrix.shape[1], len(strongest)))
    values = np.zeros(len(strongest))
    for column, triplet in enumerate(strongest):
        values[column] = triplet.value
        left[triplet.rows, column] = triplet.left
        right[triplet.columns, column] = triplet.right
    return _signed(left, values, right)


def _triplets(
    matrix: sparse.csr_matrix, rank: int, seed: int, progress: Progress, residual: float
) -> Iterator[_Triplet]:
    """The strongest triplets of every component, and perhaps more."""
    components = _Components(matrix)
    for same_shape in components.by_shape():
        num_rows, num_columns = components.shape_of(same_shape[0])
        entries = num_rows * num_columns
        if entries > _SMALL_ENTRIES:
            for component in same_shape:
                yield from _of_large(components, component, rank, seed, progress, residual)
            continue
        step = max(1, _TOGETHER_ENTRIES // entries)
        for start in range(0, len(same_shape), step):
            yield from _of_small(components, same_shape[start : start + step], rank)


class _Components:
    """The connected components of a matrix, as of the graph of its rows and columns.

    Components are numbers; their rows and columns lie together in `rows` and `columns`, those of
    component c from row_starts[c] to row_starts[c + 1].
    """

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        self.matrix = matrix
        num_rows = matrix.shape[0]
        graph = sparse.bmat([[None, matrix], [matrix.T, None]], format="csr")
        count, labels = connected_components(graph, directed=False)
        self.rows, self.row_starts = _grouped(labels[:num_rows], count)
        self.columns, self.column_starts = _grouped(labels[num_rows:], count)
        degrees = np.diff(matrix.indptr)
        entries_before = np.concatenate([[0], np.cumsum(degrees[self.rows])])
        self.sizes = np.diff(entries_before[self.row_starts])

        # Where each column stands among those of its component.
        before = np.repeat(self.column_starts[:-1], np.diff(self.column_starts))
        self._column_places = np.empty(len(self.columns), np.int64)
        self._column_places[self.columns] = np.arange(len(self.columns)) - before

    def by_shape(self) -> list[Int64Array]:
        """The components that have entries, those of equal shape together."""
        shapes = np.stack([np.diff(self.row_starts), np.diff(self.column_starts)], axis=1)
        with_entries = np.flatnonzero(self.sizes)
        if not len(with_entries):
            return []
        _, group = np.unique(shapes[with_entries], axis=0, return_inverse=True)
        order = np.argsort(group, kind="stable")
        borders = np.flatnonzero(np.diff(group[order])) + 1
        return np.split(with_entries[order], borders)

    def shape_of(self, component: int) -> tuple[int, int]:
        return len(self.rows_of(component)), len(self.columns_of(component))

    def rows_of(self, component: int) -> Int64Array:
        return self.rows[self.row_starts[component] : self.row_starts[component + 1]]

    def columns_of(self, component: int) -> Int64Array:
        return self.columns[self.column_starts[component] : self.column_starts[component + 1]]

    def block(self, component: int) -> sparse.csr_matrix:
        """The component alone."""
        rows = self.matrix[self.rows_of(component)]
        return rows[:, self.columns_of(component)]

    def dense(self, components: Int64Array) -> Float64Array:
        """(components, rows, columns) of components of equal shape."""
        num_rows, num_columns = self.shape_of(components[0])
        blocks = np.zeros((len(components), num_rows, num_columns))
        positions = self.row_starts[components][:, None] + np.arange(num_rows)
        rows = self.rows[positions.ravel()]
        entries = self.matrix[rows].tocoo()
        number, row = np.divmod(entries.row, num_rows)
        blocks[number, row, self._column_places[entries.col]] = entries.data
        return blocks


def _grouped(labels: Int64Array, count: int) -> tuple[Int64Array, Int64Array]:
    """Positions by label, and where those of each label start; (count + 1,) starts."""
    order = np.argsort(labels, kind="stable")
    lengths = np.bincount(labels, minlength=count)
    return order, np.concatenate([[0], np.cumsum(lengths)])


def _of_large(
    components: _Components,
    component: int,
    rank: int,
    seed: int,
    progress: Progress,
    residual: float,
) -> Iterator[_Triplet]:
    """The `rank` largest triplets of one component, or all that it has; arguments as of
    `truncated_svd`.
    """
    block = components.block(component)
    is_tall = block.shape[0] >= block.shape[1]
    tall = block if is_tall else block.T.tocsr()
    vectors = largest_eigenvectors(tall, rank, seed, progress, residual)
    # The SVD of M V, small, makes the triplets of M within the span of V exact.
    left, values, rotation = linalg.svd(tall @ vectors, full_matrices=False)
    right = vectors @ rotation.T
    if not is_tall:
        left, right = right, left
    rows, columns = components.rows_of(component), components.columns_of(component)
    size = int(components.sizes[component])
    for column, value in enumerate(values):
        yield _Triplet(value, size, rows, left[:, column], columns, right[:, column])


def _of_small(components: _Components, together: Int64Array, rank: int) -> Iterator[_Triplet]:
    """The `rank` largest triplets of components of equal shape, or all that they have."""
    left, values, right = np.linalg.svd(components.dense(together), full_matrices=False)
    sizes = np.repeat(components.sizes[together], values.shape[1])
    order = np.lexsort((-sizes, -values.round(_EQUAL_DIGITS).ravel()))
    for position in order[:rank]:
        number, column = divmod(int(position), values.shape[1])
        component = together[number]
        yield _Triplet(
            float(values[number, column]),
            int(sizes[position]),
            components.rows_of(component),
            left[number, :, column],
            components.columns_of(component),
            right[number, column],
        )


def _strongest(triplets: list[_Triplet], rank: int) -> list[_Triplet]:
    """The `rank` largest that are not zero; of equal ones those of larger components."""
    largest = max((triplet.value for triplet in triplets), default=0.0)
    nonzero = [triplet for triplet in triplets if triplet.value > _ZERO * largest]

    def order(triplet: _Triplet) -> tuple[float, int, int]:
        return -round(triplet.value, _EQUAL_DIGITS), -triplet.size, int(triplet.rows[0])

    return sorted(nonzero, key=order)[:rank]


def _signed(left: Float64Array, values: Float64Array, right: Float64Array) -> Factors:
    """Triplets whose signs are settled by the largest entry of each right vector."""
    if not len(values):
        return Factors(left, values, right)
    largest = np.abs(right).argmax(axis=0)
    columns = np.arange(right.shape[1])
    signs = np.where(right[largest, columns] < 0, -1.0, 1.0)
    signed_left = np.ascontiguousarray(left * signs)
    signed_right = np.ascontiguousarray(right * signs)
    return Factors(signed_left, values, signed_right)

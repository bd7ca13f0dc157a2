"""Rows of sparse matrices, which cost a hundredth of scipy's matrices of one row."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import FloatArray, IntArray


class SparseRow(NamedTuple):
    """One row of a matrix.

    indices: (n,) columns with an entry, ascending.
    values: (n,) the entries.
    num_columns: of the matrix.
    """

    indices: IntArray
    values: FloatArray
    num_columns: int


Rows = Mapping[str, SparseRow]
"""By relation, the neighbours of one user."""


def row_of(matrix: sparse.csr_matrix, row: int) -> SparseRow:
    start, stop = matrix.indptr[row], matrix.indptr[row + 1]
    return SparseRow(matrix.indices[start:stop], matrix.data[start:stop], matrix.shape[1])


def stacked_rows(rows: Sequence[SparseRow | None]) -> sparse.csr_matrix:
    """(n, columns) rows one below the other; None, which not all are, for one without entries."""
    present = [row for row in rows if row is not None]
    lengths = [0 if row is None else len(row.indices) for row in rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.concatenate([row.indices for row in present])
    values = np.concatenate([row.values for row in present])
    shape = (len(rows), present[0].num_columns)
    return sparse.csr_matrix((values, indices, indptr), shape=shape)

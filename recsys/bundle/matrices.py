"""Sparse matrices with rows and columns more or less."""

import numpy as np
from scipy import sparse


def with_columns(matrix: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """The same entries beside `count` empty columns."""
    num_rows, num_columns = matrix.shape
    arrays = (matrix.data, matrix.indices, matrix.indptr)
    # The arrays of CSR say nothing of the width: they are shared, not copied.
    shape = (num_rows, num_columns + count)
    return sparse.csr_matrix(arrays, shape=shape)


def with_rows(matrix: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """The same entries above `count` empty rows."""
    num_rows, num_columns = matrix.shape
    # An empty row begins and ends where the last entry ends.
    indptr = np.pad(matrix.indptr, (0, count), mode="edge")  # (num_rows + count + 1,)
    arrays = (matrix.data, matrix.indices, indptr)
    shape = (num_rows + count, num_columns)
    return sparse.csr_matrix(arrays, shape=shape)


def without_row(matrix: sparse.csr_matrix, row: int) -> sparse.csr_matrix:
    """All other rows, in order."""
    rows = np.arange(matrix.shape[0])
    others = np.delete(rows, row)
    return sparse.csr_matrix(matrix[others])


def without_column(matrix: sparse.csr_matrix, column: int) -> sparse.csr_matrix:
    """All other columns, in order."""
    columns = np.arange(matrix.shape[1])
    others = np.delete(columns, column)
    return sparse.csr_matrix(matrix[:, others])

"""Sparse matrices with rows and columns more or less."""

import numpy as np
from scipy import sparse


def with_columns(matrix: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """The same entries beside `count` empty columns."""
    shape = (matrix.shape[0], matrix.shape[1] + count)
    return sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=shape)


def with_rows(matrix: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """The same entries above `count` empty rows."""
    indptr = np.asarray(matrix.indptr)
    more = np.full(count, indptr[-1], indptr.dtype)
    shape = (matrix.shape[0] + count, matrix.shape[1])
    arrays = (matrix.data, matrix.indices, np.concatenate([indptr, more]))
    return sparse.csr_matrix(arrays, shape=shape)


def without_row(matrix: sparse.csr_matrix, row: int) -> sparse.csr_matrix:
    """All other rows, in order."""
    others = np.delete(np.arange(matrix.shape[0]), row)
    return sparse.csr_matrix(matrix[others])

"""Orders of rows by dense ids, by counting: what `np.lexsort` and `np.unique` give, in a third to a
tenth of their time.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import Int32Array, Int64Array, IntArray

_INT32_ROWS = 2**31


def stable_order(codes: IntArray, num_codes: int) -> IntArray:
    """(n,) positions of the codes in ascending order, of equal ones the earlier first.

    codes: (n,) from 0 to below `num_codes`.
    """
    # Row i of a matrix holds the number i at column codes[i]: by columns, the numbers are the order.
    num_rows = len(codes)
    starts = np.arange(num_rows + 1, dtype=_kind_of(num_rows))
    by_row = sparse.csr_array((starts[:-1], codes, starts), shape=(num_rows, num_codes))
    order: NDArray[np.integer] = by_row.tocsc().data
    return order


def order_in_rows(indptr: IntArray, columns: IntArray, num_columns: int) -> IntArray:
    """(n,) positions by row and column, of rows that lie behind each other.

    Args:
        indptr: (rows + 1,) where each row starts.
        columns: (n,) from 0 to below `num_columns`, no two of a row alike.
        num_columns: of the rows.
    """
    positions = np.arange(len(columns), dtype=_kind_of(len(columns)))
    shape = (len(indptr) - 1, num_columns)
    # Sorted in place, and the columns are the caller's.
    rows = sparse.csr_array((positions, columns.copy(), indptr), shape=shape)
    rows.sort_indices()
    order: NDArray[np.integer] = rows.data
    return order


def dense_ids(codes: IntArray, num_codes: int) -> tuple[Int64Array, Int32Array]:
    """The distinct codes (m,), ascending, and (n,) the place there of each of `codes`.

    codes: (n,) from 0 to below `num_codes`.
    """
    is_present = np.zeros(num_codes, bool)
    is_present[codes] = True
    rank = np.cumsum(is_present, dtype=np.int32) - 1
    return np.flatnonzero(is_present), rank[codes]


def _kind_of(num_rows: int) -> type[np.integer]:
    """Of positions among so many rows."""
    return np.int32 if num_rows < _INT32_ROWS else np.int64

"""What is added to the inner products of some items: the best lists by the sum."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.core.distinct import distinct
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.exact import pairs_of

_GATHERED_NUMBERS = 1 << 24  # of the candidates' vectors at once: 64 MB
# To gather the vector of an item that something is added to takes some fifty times as long as to
# compare it in a matrix product.
_DENSE_SHARE = 0.02


def is_dense(added: sparse.csr_matrix) -> bool:
    """Whether something is added to so many items that comparing all of them is quicker."""
    rows, num_items = added.shape
    return bool(added.nnz > _DENSE_SHARE * rows * num_items)


def with_sparse_scores(
    hits: Hits,
    queries: Float32Array,
    item_vectors: Float32Array,
    added: sparse.csr_matrix,
    exclude: sparse.csr_matrix | None = None,
    allow: BoolArray | None = None,
) -> Hits:
    """The k best items by inner product plus `added`, from the k best by inner product alone.

    No other item can be among them than these k and those that something is added to, since nothing
    added is negative: so the lists are exact where `hits` are.

    Args:
        hits: (n, k) best by inner product.
        queries: (n, d).
        item_vectors: (items, d).
        added: (n, items) `HistoryScores.sparse_scores`.
        exclude: (n, items) as `hits` were searched with.
        allow: (items,) as `hits` were searched with.

    Returns:
        (n, k) hits with their whole scores.
    """
    k = hits.items.shape[1]
    best_items = np.full_like(hits.items, NO_ITEM)
    best_scores = np.full_like(hits.scores, -np.inf)
    allowed = _allowed_entries(added, exclude, allow)
    for start, stop in _row_blocks(allowed, k, item_vectors.shape[1]):
        rows = slice(start, stop)
        row, item, gain = _candidates(hits.items[rows], allowed[rows])
        products = np.einsum("nd,nd->n", item_vectors[item], queries[rows][row], dtype=np.float32)
        scores = products + gain
        # Best first in each row, ties by the smaller id.
        order = np.lexsort((item, -scores, row))
        position = _positions(row[order], stop - start)
        is_listed = position < k
        listed, position = order[is_listed], position[is_listed]
        best_items[rows][row[listed], position] = item[listed]
        best_scores[rows][row[listed], position] = scores[listed]
    return Hits(best_items, best_scores)


def _positions(row: Int64Array, num_rows: int) -> Int64Array:
    """(candidates,) the position of each in its row. row: (candidates,) ascending."""
    lengths = np.bincount(row, minlength=num_rows)
    row_starts = np.cumsum(lengths) - lengths
    return np.arange(len(row)) - np.repeat(row_starts, lengths)


def _allowed_entries(
    added: sparse.csr_matrix, exclude: sparse.csr_matrix | None, allow: BoolArray | None
) -> sparse.csr_matrix:
    """The entries above 0 of items that may be listed."""
    num_rows, num_items = added.shape
    is_candidate = added.data > 0
    if allow is not None:
        is_candidate &= allow[added.indices]
    if exclude is not None and exclude.nnz:
        # A pair of row and item as one number.
        pairs = _entry_rows(added) * np.int64(num_items) + added.indices
        excluded_row, excluded_item = pairs_of(exclude, np.arange(num_rows))
        excluded_pairs = excluded_row * np.int64(num_items) + excluded_item
        is_candidate &= ~np.isin(pairs, excluded_pairs)
    entries_before = np.concatenate([[0], np.cumsum(is_candidate)])
    indptr = entries_before[added.indptr]
    values, items = added.data[is_candidate], added.indices[is_candidate]
    return sparse.csr_matrix((values, items, indptr), shape=added.shape)


def _entry_rows(matrix: sparse.csr_matrix) -> Int64Array:
    """(entries,) the row of each entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _row_blocks(added: sparse.csr_matrix, k: int, width: int) -> Iterator[tuple[int, int]]:
    """Runs of rows whose candidates' vectors can be gathered at once; at least a row each."""
    num_rows = added.shape[0]
    candidates_before = added.indptr + k * np.arange(num_rows + 1)
    limit = max(_GATHERED_NUMBERS // max(width, 1), 1)
    start = 0
    while start < num_rows:
        cumulative_limit = candidates_before[start] + limit
        num_within = np.searchsorted(candidates_before, cumulative_limit, side="right")
        stop = max(start + 1, int(num_within) - 1)
        yield start, stop
        start = stop


def _candidates(
    by_vector: Int32Array, added: sparse.csr_matrix
) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Items that may be listed, by row and ascending: the best by vector and those that something
    is added to.

    Args:
        by_vector: (n, k) the best by inner product, NO_ITEM behind the last.
        added: (n, items).

    Returns:
        (candidates,) row, item and what is added to it.
    """
    # A pair of row and item as one number.
    num_items = np.int64(added.shape[1])
    row, position = np.nonzero(by_vector != NO_ITEM)
    pairs_by_vector = row * num_items + by_vector[row, position]
    pairs_with_gain = _entry_rows(added) * num_items + added.indices
    pairs = distinct(pairs_by_vector, pairs_with_gain)
    gain = np.zeros(len(pairs), np.float32)
    gain[np.searchsorted(pairs, pairs_with_gain)] = added.data
    rows, items = np.divmod(pairs, num_items)
    return rows, items, gain

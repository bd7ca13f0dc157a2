"""Which items have the nearest texts and pictures."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.ranking import NO_ITEM
from recsys.search.cosine import CosineSearch

_ROWS_AT_ONCE = 4096


def nearest_content(vectors: Sequence[Float32Array], neighbours: int) -> sparse.csr_matrix:
    """(items, items) float32: row j holds the cosines of item j's nearest others, those above 0.

    vectors: of each feature (items, d), rows of length 1 or all zeros; all features count alike.
    """
    # Side by side: x·y is the sum of the features' cosines, ‖x‖² the number of those an item has.
    together = np.hstack(vectors).astype(np.float32, copy=False)  # (items, sum of d)
    count = len(together)
    search = CosineSearch(together)
    # An empty block first, for there may be no items.
    blocks = [sparse.csr_matrix((0, count), dtype=np.float32)]
    for start in range(0, count, _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, count)
        rows = np.arange(start, end, dtype=np.int32)
        blocks.append(_nearest(search, rows, neighbours, count))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _nearest(
    search: CosineSearch, rows: Int32Array, neighbours: int, count: int
) -> sparse.csr_matrix:
    """(rows, items)."""
    hits = search.nearest(rows, neighbours)
    # (rows · neighbours,) each: a row of hits behind another.
    query = np.repeat(np.arange(len(rows)), hits.items.shape[1])
    items = hits.items.ravel()
    cosines = hits.scores.ravel()
    is_entry = (items != NO_ITEM) & (cosines > 0)
    places = (query[is_entry], items[is_entry])
    return sparse.csr_matrix((cosines[is_entry], places), shape=(len(rows), count))

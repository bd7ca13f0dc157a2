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
    together = np.hstack(vectors).astype(np.float32, copy=False)
    count = len(together)
    search = CosineSearch(together)
    blocks = [sparse.csr_matrix((0, count), dtype=np.float32)]
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, count), dtype=np.int32)
        blocks.append(_nearest(search, rows, neighbours, count))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def _nearest(
    search: CosineSearch, rows: Int32Array, neighbours: int, count: int
) -> sparse.csr_matrix:
    """(rows, items)."""
    hits = search.nearest(rows, neighbours)
    query = np.repeat(np.arange(len(rows)), hits.items.shape[1])
    items, cosines = hits.items.ravel(), hits.scores.ravel()
    counts = (items != NO_ITEM) & (cosines > 0)
    entries = (cosines[counts], (query[counts], items[counts]))
    return sparse.csr_matrix(entries, shape=(len(rows), count))

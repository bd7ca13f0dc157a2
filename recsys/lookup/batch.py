"""Lists of all users in one Parquet file, block after block."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.bundle.bundle import Bundle
from recsys.bundle.known_lists import rank_known
from recsys.core.arrays import Int32Array
from recsys.core.artefacts import atomic_file
from recsys.core.progress import Progress
from recsys.core.ranking import NO_ITEM, Hits, Scorer
from recsys.core.tables import ITEM_ID, RANK, SCORE, USER_ID
from recsys.search.exact import rows_at_once

_USERS_AT_ONCE = 16_384


def write_all(
    bundle: Bundle,
    boosted: Scorer | None,
    users: Int32Array,
    k: int,
    behaviors: tuple[str, ...],
    out: Path,
    progress: Progress,
) -> int:
    """Write exact lists.

    Args:
        bundle: That answers.
        boosted: Its scores with the popularity boost that is asked for; None for none.
        users: Internal ids.
        k: Length of the lists.
        behaviors: Whose seen items are left out.
        out: Parquet file, whole or absent.
        progress: Told of every block.

    Returns:
        Rows of the file.
    """
    seen = union_of([bundle.seen[name] for name in behaviors])
    k = min(k, len(bundle.items))
    step = rows_at_once(len(bundle.items))
    block_users = max(_USERS_AT_ONCE // step, 1) * step
    starts = range(0, max(len(users), 1), block_users)  # a block without users writes the header
    num_rows = 0
    with atomic_file(out) as unfinished, threadpool_limits(1, "blas"):
        writer: pq.ParquetWriter | None = None
        for start in progress.track(starts, "recommending", len(starts)):
            block = users[start : start + block_users]
            hits = rank_known(bundle, block, k, seen, bundle.available, boosted)
            table = _table(bundle, block, hits).to_arrow()
            if writer is None:
                writer = pq.ParquetWriter(unfinished, table.schema, compression="zstd")
            writer.write_table(table)
            num_rows += len(table)
        if writer is not None:
            writer.close()
    return num_rows


def union_of(matrices: list[sparse.csr_matrix]) -> sparse.csr_matrix | None:
    """Pairs that are in any of some matrices of the same shape; None for no matrix."""
    if not matrices:
        return None
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total.maximum(matrix)
    return total


def _table(bundle: Bundle, users: Int32Array, hits: Hits) -> pl.DataFrame:
    is_item = hits.items != NO_ITEM
    row, column = np.nonzero(is_item)
    user_ids = pl.Series(users[row].astype(np.int64))
    item_ids = pl.Series(hits.items[is_item].astype(np.int64))
    return pl.DataFrame(
        {
            USER_ID: bundle.users.ids.gather(user_ids),
            ITEM_ID: bundle.items.ids.gather(item_ids),
            SCORE: hits.scores[is_item],
            RANK: (column + 1).astype(np.int32),
        }
    )

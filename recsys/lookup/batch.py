"""Lists of all users in one Parquet file, block after block."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.core.artefacts import atomic_file
from recsys.core.progress import Progress
from recsys.core.ranking import NO_ITEM, Hits, Scorer
from recsys.core.tables import ITEM_ID, RANK, SCORE, USER_ID
from recsys.search.exact import rank

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle

_USERS_AT_ONCE = 16_384


def write_all(
    bundle: "Bundle",
    scorer: Scorer,
    users: Int32Array,
    k: int,
    behaviors: tuple[str, ...],
    out: Path,
    progress: Progress,
) -> int:
    """Exact lists of dense `users` to `out`; returns the number of rows. behaviors: whose seen
    items are left out.
    """
    seen = union_of([bundle.seen[name] for name in behaviors])
    k = min(k, len(bundle.items))
    blocks = [users[at : at + _USERS_AT_ONCE] for at in range(0, len(users), _USERS_AT_ONCE)] or [
        users
    ]
    rows = 0
    with atomic_file(out) as part:
        writer: pq.ParquetWriter | None = None
        for block in progress.track(blocks, "recommending", len(blocks)):
            table = _table(bundle, block, rank(scorer, block, k, seen, bundle.available)).to_arrow()
            writer = writer or pq.ParquetWriter(part, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(table)
        if writer is not None:
            writer.close()
    return rows


def union_of(matrices: list[sparse.csr_matrix]) -> sparse.csr_matrix | None:
    """Pairs that are in any of some matrices of the same shape; None for no matrix."""
    if not matrices:
        return None
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total.maximum(matrix)
    return total


def _table(bundle: "Bundle", users: Int32Array, hits: Hits) -> pl.DataFrame:
    found = hits.items != NO_ITEM
    row, place = np.nonzero(found)
    return pl.DataFrame(
        {
            USER_ID: bundle.users.ids.gather(pl.Series(users[row].astype(np.int64))),
            ITEM_ID: bundle.items.ids.gather(pl.Series(hits.items[found].astype(np.int64))),
            SCORE: hits.scores[found],
            RANK: (place + 1).astype(np.int32),
        }
    )

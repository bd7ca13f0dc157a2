"""Ali-Display as the authors of TopKGAT and Rankformer count it, beside our own metrics.

Their test keeps rows that repeat a pair, and pairs that are in train already, where no list can
have them: both count in |T_u|. Their recall divides by min(k, |T_u|), ours by |T_u|. Our lists
hide validation pairs as well, which theirs do not.
"""

import numpy as np
import polars as pl

from recsys.core.arrays import Float64Array, Int32Array
from recsys.core.config import RunConfig
from recsys.core.interactions import Interactions
from recsys.core.ranking import NO_ITEM
from recsys.core.tables import ITEM_ID, USER_ID

SETS = ("ali-display",)
K = 20


def authors_metrics(
    config: RunConfig, learned: Interactions, users: Int32Array, lists: Int32Array
) -> dict[str, float]:
    """Mean recall and NDCG at 20 over every user with a test row.

    Args:
        config: names the test file.
        learned: whose internal ids the lists are in.
        users: (n,) internal ids of the users of the lists.
        lists: (n, 20 or more) internal item ids.
    """
    test = pl.read_parquet(str(config.data.test)).cast(pl.String)
    rows = pl.DataFrame({"user": test[USER_ID], "item": test[ITEM_ID]})
    counts = rows.group_by("user").len()
    num_rows = dict(counts.iter_rows())
    pairs = set(rows.iter_rows())

    recalls = 0.0
    ndcgs = 0.0
    user_ids = learned.users.external(users)
    for user_id, items in zip(user_ids, lists[:, :K], strict=True):
        item_ids = learned.items.external(items[items != NO_ITEM])
        hits = np.array([(user_id, item_id) in pairs for item_id in item_ids], bool)
        recall, ndcg = _metrics_of(hits, num_rows[user_id])
        recalls += recall
        ndcgs += ndcg
    # Users without a list of ours had nothing in the test that a list could hold: they count 0.
    num_users = len(counts)
    return {
        f"authors_recall@{K}": round(recalls / num_users, 5),
        f"authors_ndcg@{K}": round(ndcgs / num_users, 5),
    }


def _metrics_of(hits: np.ndarray, num_rows: int) -> tuple[float, float]:
    """Recall and NDCG of one list; `num_rows` is |T_u|."""
    discounts: Float64Array = 1 / np.log2(np.arange(2, K + 2))
    most = min(K, num_rows)
    recall = hits.sum() / most
    dcg = discounts[: len(hits)][hits].sum()
    return float(recall), float(dcg / discounts[:most].sum())

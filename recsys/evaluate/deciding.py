"""The metric that decides: choices, searches and reports all look at this one."""

from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.evaluate.metrics import PerUser, rank_metrics

DECIDING = "ndcg"
"""A name of `recsys.evaluate.metrics.METRICS`; the only place that says which one decides."""
VALIDATION_USERS = 30_000
"""By whom choices are made, spread evenly: to judge all of many users costs users times items, and the
mean of this many is as sure as any choice needs. The test judges everybody.
"""


def deciding_metric(k: int) -> str:
    """The name of the deciding metric at list length k, as reports spell it: "ndcg@10"."""
    return f"{DECIDING}@{k}"


def list_length(metric: str) -> str:
    """The list length in the name of a metric: "10" in "ndcg@10"."""
    return metric.partition("@")[2]


def deciding_per_user(
    ranked: Int32Array, users: Int32Array, held_out: sparse.csr_matrix, k: int
) -> PerUser:
    """The deciding metric of each user's list.

    Args:
        ranked: (n, k or more) dense item ids, best first.
        users: (n,) dense ids of the lists' users; each has a held-out item.
        held_out: (users, items) held-out pairs.
        k: list length.

    Returns:
        (n,) values.
    """
    return rank_metrics(ranked, users, held_out, [k]).per_user[deciding_metric(k)]


def deciding_mean(
    ranked: Int32Array, users: Int32Array, held_out: sparse.csr_matrix, k: int
) -> float:
    """The mean of `deciding_per_user` over the users, with the same arguments."""
    return rank_metrics(ranked, users, held_out, [k]).overall[deciding_metric(k)]

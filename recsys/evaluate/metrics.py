"""Ranking metrics, exactly: hits are computed once, every metric is a pure function on them, per
user before any mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from recsys.core.errors import UsageError
from recsys.core.ranking import NO_ITEM
from recsys.evaluate.lists import Catalogue, list_metrics

PerUser = Float64Array


class Matches(NamedTuple):
    """What the lists of n users hit.

    hit: (n, k) bool, whether the item at each rank is held out for its user; false at NO_ITEM.
    held: (n,) int64, held-out items of each user; at least 1.
    """

    hit: BoolArray
    held: Int64Array


@dataclass(frozen=True)
class Ranking:
    """Metrics of one model.

    users: (n,) internal ids.
    per_user: by metric, (n,) values in the order of `users`.
    overall: by metric, the plain mean over users; list-level metrics besides.
    """

    users: Int32Array
    per_user: Mapping[str, PerUser]
    overall: Mapping[str, float]


def evaluable_users(held_out: sparse.csr_matrix) -> Int32Array:
    """U': the users with at least one held-out item, ascending."""
    return np.flatnonzero(np.diff(held_out.indptr)).astype(np.int32)


def evenly(users: Int32Array, count: int) -> Int32Array:
    """At most `count` of them, spread evenly: no draw, so the same every time."""
    return users if len(users) <= count else users[np.arange(count) * len(users) // count]


def match(ranked: Int32Array, users: Int32Array, held_out: sparse.csr_matrix) -> Matches:
    """Look every ranked item up among its user's held-out items.

    ranked: (n, k) dense item ids, best first, unique within a list, NO_ITEM where a list ended.
    held_out: (users, items). Raises UsageError for a user without held-out items: averages run over
    users that have some.
    """
    num_held_out = np.diff(held_out.indptr)[users].astype(np.int64)
    if not num_held_out.all():
        first = np.argmax(num_held_out == 0)
        raise UsageError(
            f"user {users[first]} (internal id) has no held-out item",
            "Rank evaluate.metrics.evaluable_users(held_out) only",
        )
    num_users, num_items = held_out.shape
    # A pair of user and item is the one number user · items + item.
    owners = np.repeat(np.arange(num_users, dtype=np.int64), np.diff(held_out.indptr))
    held_pairs = np.sort(owners * num_items + held_out.indices)
    row_starts = users.astype(np.int64) * num_items
    ranked_pairs = row_starts[:, None] + ranked
    places = np.searchsorted(held_pairs, ranked_pairs.ravel())
    places = places.clip(max=len(held_pairs) - 1).reshape(ranked.shape)
    hit = held_pairs[places] == ranked_pairs
    return Matches(hit & (ranked != NO_ITEM), num_held_out)


def recall(matches: Matches, k: int) -> PerUser:
    """Hits in the first k / |T_u| — not / min(k, |T_u|)."""
    hits = matches.hit[:, :k].sum(axis=1)
    return np.asarray(hits / matches.held, np.float64)


def precision(matches: Matches, k: int) -> PerUser:
    """Hits in the first k / k."""
    hits = matches.hit[:, :k].sum(axis=1)
    return np.asarray(hits / k, np.float64)


def hit_rate(matches: Matches, k: int) -> PerUser:
    """1 when the first k hold a hit, else 0."""
    any_hit = matches.hit[:, :k].any(axis=1)
    return np.asarray(any_hit, np.float64)


def reciprocal_rank(matches: Matches, k: int) -> PerUser:
    """1 / rank of the first hit within the first k, else 0."""
    hit = matches.hit[:, :k]
    first: NDArray[np.intp] = np.argmax(hit, axis=1)
    return np.where(hit.any(axis=1), 1.0 / (first + 1.0), 0.0)


def average_precision(matches: Matches, k: int) -> PerUser:
    """Σ_r hit_r · precision@r / min(k, |T_u|)."""
    hit = matches.hit[:, :k]
    # precision@r = hits among the first r / r
    ranks = np.arange(1, hit.shape[1] + 1)
    precisions = hit.cumsum(axis=1) / ranks
    total = (hit * precisions).sum(axis=1)
    return np.asarray(total / np.minimum(k, matches.held), np.float64)


def ndcg(matches: Matches, k: int) -> PerUser:
    """DCG = Σ_r hit_r / log2(r + 1), divided by that of min(k, |T_u|) hits at the top."""
    hit = matches.hit[:, :k]
    # 1 / log₂(r + 1) of ranks r = 1 … k
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    most_hits = np.minimum(k, matches.held)
    ideal = np.cumsum(discounts)[most_hits - 1]
    # Summed in rank order, as the ideal is: a perfect list gives exactly 1, whichever users stand
    # around it.
    gains = hit * discounts[: hit.shape[1]]
    dcg = np.cumsum(gains, axis=1)[:, -1]
    return np.asarray(dcg / ideal, np.float64)


METRICS: dict[str, Callable[[Matches, int], PerUser]] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "hr": hit_rate,
    "mrr": reciprocal_rank,
    "map": average_precision,
}
"""Per-user metrics by the name they are reported under, as "name@k"."""


def rank_metrics(
    ranked: Int32Array,
    users: Int32Array,
    held_out: sparse.csr_matrix,
    ks: Sequence[int],
    catalogue: Catalogue | None = None,
) -> Ranking:
    """Every metric at every k of ranked lists.

    Args:
        ranked: (n, k) internal item ids, at least max(ks) wide unless the catalogue is smaller.
        users: (n,) internal ids of their users.
        held_out: (users, items) held-out pairs.
        ks: List lengths.
        catalogue: With these facts the list-level metrics join `overall`.

    Returns:
        The metrics as "name@k".

    Raises:
        UsageError: A k below 1, no users, or a user without held-out items.
    """
    if not len(ks) or min(ks) < 1:
        raise UsageError(f"list lengths ks = {list(ks)} must all be at least 1")
    if not len(users):
        raise UsageError(
            "there is no user with held-out items to average over",
            "Hold out more rows or other users",
        )
    matches = match(ranked, users, held_out)
    per_user: dict[str, PerUser] = {}
    for k in ks:
        for name, metric in METRICS.items():
            per_user[f"{name}@{k}"] = metric(matches, k)
    overall = {name: float(values.mean()) for name, values in per_user.items()}
    if catalogue is not None:
        for k in ks:
            for name, value in list_metrics(ranked[:, :k], catalogue).items():
                overall[f"{name}@{k}"] = value
    return Ranking(users, per_user, overall)

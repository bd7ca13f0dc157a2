"""Recall of an index against exact search, and how sure one can be of it."""

from statistics import NormalDist

import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from recsys.core.ranking import NO_ITEM, Hits

_TIE = 1e-6
_FEWEST_QUERIES = 500
_MOST_QUERIES = 20_000
_MIXED_ITEMS = 5


def hit_shares(hits: Hits, truth: Hits) -> Float64Array:
    """(queries,) share of each true list that was retrieved.

    Both lists hold true scores, so an item counts when it scores at least the last true one: which
    of several equal items was retrieved makes no difference. Queries without any true item count
    as 1.
    """
    num_true = (truth.items != NO_ITEM).sum(axis=1)
    last_position = np.maximum(num_true - 1, 0)[:, None]
    last_score = np.take_along_axis(truth.scores, last_position, axis=1)
    # Equal but for rounding is equal.
    slack = _TIE * np.maximum(np.abs(last_score), 1.0)
    is_good = (hits.items != NO_ITEM) & (hits.scores >= last_score - slack)
    num_good = np.minimum(is_good.sum(axis=1), num_true)
    shares = num_good / np.maximum(num_true, 1)
    shares[num_true == 0] = 1.0
    return np.asarray(shares)


def lower_bound(shares: Float64Array, level: float) -> float:
    """One-sided lower confidence bound of the mean share: Wilson's, with queries as trials.

    A mean of values in [0, 1] varies at most as much as a proportion, so the bound is on the safe
    side, and it is below 1 even when every query was perfect.
    """
    n = len(shares)
    mean = float(shares.mean())
    z = NormalDist().inv_cdf(1 - level)
    # (p + z²/2n − z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n) (Wilson 1927)
    centre = mean + z * z / (2 * n)
    variance = mean * (1 - mean) / n + z * z / (4 * n * n)
    spread = z * np.sqrt(variance)
    scale = 1 + z * z / n
    return float((centre - spread) / scale)


def slice_recall(hits: Hits, truth: Hits) -> dict[str, float]:
    """Recall of head items and of the rest: the head are the items that fill half of all true
    places.
    """
    is_true = truth.items != NO_ITEM
    is_hit = np.zeros(truth.items.shape, bool)
    for row in range(len(is_hit)):
        is_hit[row] = np.isin(truth.items[row], hits.items[row])
    head_items = _head(np.bincount(truth.items[is_true]))
    in_head = head_items[np.maximum(truth.items, 0)]
    return {
        "head": _mean(is_hit[is_true & in_head]),
        "tail": _mean(is_hit[is_true & ~in_head]),
    }


def _head(exposure: IntArray) -> BoolArray:
    """(items,) the fewest items, most exposed first, that make up half of the exposure."""
    order = np.argsort(-exposure, kind="stable")
    falling = exposure[order]
    exposure_before = np.cumsum(falling) - falling
    in_head = exposure_before < exposure.sum() / 2
    head = np.zeros(len(exposure), bool)
    head[order[in_head]] = True
    return head


def _mean(hits: BoolArray) -> float:
    """1 where there is nothing to miss."""
    return float(hits.mean()) if len(hits) else 1.0


def queries_needed(target: float) -> int:
    """Queries in a half that can show a recall of `target` while a few of them miss."""
    # With all n perfect, Wilson's bound is n / (n + z²): it reaches the target at n = z² t / (1 − t).
    z = NormalDist().inv_cdf(0.975)
    num_perfect = z**2 * target / max(1 - target, 1e-9)
    return int(np.clip(5 * num_perfect, _FEWEST_QUERIES, _MOST_QUERIES))


def with_mixtures(
    queries: Float32Array, item_vectors: Float32Array, count: int, rng: np.random.Generator
) -> Float32Array:
    """`queries` filled up to `count` with sums of a few item vectors, as long as an average query."""
    num_missing = count - len(queries)
    if num_missing <= 0:
        return queries
    items = rng.integers(0, len(item_vectors), (num_missing, _MIXED_ITEMS))
    sums = item_vectors[items].sum(axis=1)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    divisors = np.where(norms > 0, norms, 1.0)
    mean_norm = np.linalg.norm(queries, axis=1).mean() if len(queries) else 1.0
    mixtures = mean_norm * sums / divisors
    return np.concatenate([queries, mixtures]).astype(np.float32)

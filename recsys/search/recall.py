"""Recall of an index against exact search, and how sure one can be of it."""

from statistics import NormalDist

import numpy as np

from recsys.core.arrays import Float32Array, Float64Array
from recsys.core.ranking import NO_ITEM, Hits

_TIE = 1e-6
_FEWEST, _MOST = 500, 20_000
_MIXED_ITEMS = 5


def hit_shares(found: Hits, truth: Hits) -> Float64Array:
    """(queries,) share of each true list that was found.

    Both lists hold true scores, so a found item counts when it scores at least the last true one:
    which of several equal items was found makes no difference. Queries without any true item count
    as found.
    """
    wanted = (truth.items != NO_ITEM).sum(axis=1)
    last = np.take_along_axis(truth.scores, np.maximum(wanted - 1, 0)[:, None], axis=1)
    slack = _TIE * np.maximum(np.abs(last), 1.0)
    good = ((found.items != NO_ITEM) & (found.scores >= last - slack)).sum(axis=1)
    return np.where(wanted > 0, np.minimum(good, wanted) / np.maximum(wanted, 1), 1.0)


def lower_bound(shares: Float64Array, level: float) -> float:
    """One-sided lower confidence bound of the mean share: Wilson's, with queries as trials.

    A mean of values in [0, 1] varies at most as much as a proportion, so the bound is on the safe
    side, and it is below 1 even when every query was perfect.
    """
    n, mean = len(shares), float(shares.mean())
    z = NormalDist().inv_cdf(1 - level)
    centre = mean + z * z / (2 * n)
    spread = z * np.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return float((centre - spread) / (1 + z * z / n))


def slice_recall(found: Hits, truth: Hits) -> dict[str, float]:
    """Recall of head items and of the rest: the head are the items that fill half of all true
    places.
    """
    valid = truth.items != NO_ITEM
    exposure = np.bincount(truth.items[valid])
    hit = np.zeros(truth.items.shape, bool)
    for row in range(len(hit)):
        hit[row] = np.isin(truth.items[row], found.items[row])
    order = np.argsort(-exposure, kind="stable")
    head = np.zeros(len(exposure), bool)
    head[order[np.cumsum(exposure[order]) - exposure[order] < exposure.sum() / 2]] = True
    is_head = head[np.maximum(truth.items, 0)]
    parts = {"head": valid & is_head, "tail": valid & ~is_head}
    return {name: float(hit[part].mean()) if part.any() else 1.0 for name, part in parts.items()}


def queries_needed(target: float) -> int:
    """Queries in a half that can show a recall of `target` while a few of them miss."""
    perfect = NormalDist().inv_cdf(0.975) ** 2 * target / max(1 - target, 1e-9)
    return int(np.clip(5 * perfect, _FEWEST, _MOST))


def with_mixtures(
    queries: Float32Array, item_vectors: Float32Array, wanted: int, rng: np.random.Generator
) -> Float32Array:
    """`queries` filled up to `wanted` with sums of a few item vectors, as long as an average query."""
    missing = wanted - len(queries)
    if missing <= 0:
        return queries
    sums = item_vectors[rng.integers(0, len(item_vectors), (missing, _MIXED_ITEMS))].sum(axis=1)
    length = np.linalg.norm(queries, axis=1).mean() if len(queries) else 1.0
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.concatenate([queries, length * sums / np.where(norms > 0, norms, 1.0)]).astype(
        np.float32
    )

"""The popularity boost: one coordinate more, so that one inner product weighs taste and popularity.

score(u, i) = s(u, i) + boost · unit(u) · ln(1 + n_i)

n_i: users who had item i. What a boost of 1 lifts the most popular items by is how far the best of
the user's own list stand above an average item, whatever the scale of the scores:

unit(u) = (mean of the 10 largest s(u, ·) − mean of s(u, ·)) / (the same of ln(1 + n))

The scores are those of items that are new to the user: what somebody has had scores so high that in
a small catalogue the average item stood above the list.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recsys.core.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int32Array,
    IntArray,
)
from recsys.core.ranking import Hits, Scorer, top_k
from recsys.search.exact import pairs_of

BOOSTS = (-1.0, 1.0)
"""Where the recall of an index is proven besides 0."""
NUM_LEADERS = 10
"""How many of the best are looked at to tell how far they stand above the others."""


def with_popularity(item_vectors: Float32Array, counts: FloatArray) -> tuple[Float32Array, float]:
    """(items, d + 1) vectors with ln(1 + counts) / unit as their last coordinate, and the unit.

    counts: (items,) users who had each item. The unit makes that coordinate as large as the others
    are on average: an index that clusters or links the items is then led by their vectors as
    before.
    """
    popularity = _log_counts(counts)
    unit = _root_mean_square(popularity) / _root_mean_square(item_vectors)
    wide = np.column_stack([item_vectors, popularity / unit])
    return wide.astype(np.float32), unit


def boosted_queries(queries: Float32Array, factors: Any, unit: float) -> Float32Array:
    """(n, d + 1) queries that give each item its score, and `factors` times its ln(1 + n).

    factors: (n,) one for each query, or one for all.
    """
    # factor · unit · (ln(1 + n) / unit)
    last = np.broadcast_to(np.asarray(factors, np.float64) * unit, len(queries))
    return np.column_stack([queries, last]).astype(np.float32)


def share(factor: float, counts: FloatArray) -> Float64Array:
    """(k,) what a factor adds to the scores of items that so many users had."""
    return factor * _log_counts(counts)


def lead_of_popular(counts: FloatArray) -> float:
    """How far the most popular items stand above an average one, in ln(1 + n)."""
    popularity = _log_counts(counts)
    leaders = np.sort(popularity)[-NUM_LEADERS:]
    return float(leaders.mean() - popularity.mean()) if len(popularity) else 0.0


def boost_factors(
    boost: float, leaders: Hits, means: FloatArray, lead_of_popular: float
) -> Float64Array:
    """(n,) boost · unit(u): what ln(1 + n) is multiplied by for each user.

    Args:
        boost: That is asked for.
        leaders: (n, NUM_LEADERS) the best of each user that are new to them, without any boost.
        means: (n,) mean score of all items that are new to each.
        lead_of_popular: Of the catalogue. Where it is 0 all items are alike, and so is the boost.

    Returns:
        Factors; 0 for a user to whom no item is new.
    """
    is_hit = np.isfinite(leaders.scores)
    total = np.where(is_hit, leaders.scores, 0.0).sum(axis=1, dtype=np.float64)
    num_leaders = is_hit.sum(axis=1)
    best = np.divide(total, num_leaders, out=np.zeros(len(total)), where=num_leaders > 0)
    lead = np.where(num_leaders > 0, np.maximum(best - means, 0.0), 0.0)
    if not lead_of_popular:
        return np.zeros(len(lead))
    return np.asarray(boost * lead / lead_of_popular)


def means_of_new(
    total: FloatArray, num_items: int, row: IntArray, known_scores: FloatArray
) -> Float64Array:
    """(n,) mean score of the items that are new to each user; 0 where none is.

    Args:
        total: (n,) sum of the scores of all items.
        num_items: That there are.
        row: (m,) the user of each item that is not new.
        known_scores: (m,) its score.
    """
    count = len(total)
    of_new = total - np.bincount(row, known_scores, count)
    num_new = num_items - np.bincount(row, minlength=count)
    return np.asarray(np.divide(of_new, num_new, out=np.zeros(count), where=num_new > 0))


@dataclass(frozen=True)
class BoostedScorer:
    """Scores of `scorer` under a popularity boost.

    counts: (items,) users who had each item.
    known: (users, items) what users had under the target: items that are not new to them.
    available: (items,) False for withdrawn items.
    """

    scorer: Scorer
    boost: float
    counts: FloatArray
    known: sparse.csr_matrix
    available: BoolArray

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        scores = self.scorer.score(users)
        factors = self._factors(users, scores)
        gains = factors[:, None] * _log_counts(self.counts)
        return np.asarray(scores + gains.astype(np.float32))

    def _factors(self, users: Int32Array, scores: Float32Array) -> Float64Array:
        new = np.where(self.available, scores, -np.inf).astype(np.float32)
        known = pairs_of(self.known, users)
        new[known] = -np.inf
        leaders = top_k(new, NUM_LEADERS)
        total = scores.sum(axis=1, dtype=np.float64)
        means = means_of_new(total, scores.shape[1], known[0], scores[known])
        return boost_factors(self.boost, leaders, means, lead_of_popular(self.counts))


def _log_counts(counts: FloatArray) -> Float64Array:
    return np.log1p(np.asarray(counts, np.float64))


def _root_mean_square(values: FloatArray) -> float:
    """1 for nothing but zeros."""
    mean_square = np.mean(np.square(values, dtype=np.float64))
    return float(np.sqrt(mean_square)) or 1.0

"""The popularity boost: one coordinate more, so that one inner product weighs taste and popularity.

score(u, i) = ⟨u, i⟩ + boost · ln(1 + users who had i)
"""

from dataclasses import dataclass

import numpy as np

from recsys.core.arrays import Float32Array, Float64Array, FloatArray, Int32Array
from recsys.core.ranking import Scorer

BOOSTS = (-1.0, 1.0)
"""Where the recall of an index is proven besides 0."""


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


def boosted_queries(queries: Float32Array, boost: float, unit: float) -> Float32Array:
    """(n, d + 1) queries that give each item its score at this boost."""
    # boost · unit · (ln(1 + count) / unit)
    last = np.full(len(queries), boost * unit)
    return np.column_stack([queries, last]).astype(np.float32)


def share(boost: float, count: float) -> float:
    """What the boost adds to the score of an item that `count` users had."""
    return float(boost * np.log1p(np.float64(count)))


@dataclass(frozen=True)
class BoostedScorer:
    """Scores of `scorer` under a popularity boost. counts: (items,) users who had each item."""

    scorer: Scorer
    boost: float
    counts: FloatArray

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        gain = self.boost * _log_counts(self.counts)
        return np.asarray(self.scorer.score(users) + gain.astype(np.float32))


def _log_counts(counts: FloatArray) -> Float64Array:
    return np.log1p(np.asarray(counts, np.float64))


def _root_mean_square(values: FloatArray) -> float:
    """1 for nothing but zeros."""
    mean_square = np.mean(np.square(values, dtype=np.float64))
    return float(np.sqrt(mean_square)) or 1.0

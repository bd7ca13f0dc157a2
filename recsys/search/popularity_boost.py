"""The popularity dial: one coordinate more, so that one inner product weighs taste and popularity.

score(u, i) = ⟨u, i⟩ + dial · ln(1 + users who had i)
"""

from dataclasses import dataclass

import numpy as np

from recsys.core.arrays import Float32Array, FloatArray, Int32Array
from recsys.core.ranking import Scorer

BOOSTS = (-1.0, 1.0)
"""Where the recall of an index is proven besides 0."""


def with_popularity(item_vectors: Float32Array, counts: FloatArray) -> tuple[Float32Array, float]:
    """(items, d + 1) vectors with ln(1 + counts) / unit as their last coordinate, and the unit.

    counts: (items,) users who had each item. The unit makes that coordinate as large as the others
    are on average: an index that clusters or links the items is then led by their vectors as
    before.
    """
    popularity = np.log1p(np.asarray(counts, np.float64))
    unit = _size(popularity) / _size(item_vectors)
    return np.column_stack([item_vectors, popularity / unit]).astype(np.float32), unit


def boosted_queries(queries: Float32Array, dial: float, unit: float) -> Float32Array:
    """(n, d + 1) queries that give each item its score at this dial."""
    return np.column_stack([queries, np.full(len(queries), dial * unit)]).astype(np.float32)


def share(dial: float, count: float) -> float:
    """What the dial adds to the score of an item that `count` users had."""
    return float(dial * np.log1p(np.float64(count)))


@dataclass(frozen=True)
class BoostedScorer:
    """Scores of `scorer` at a dial. counts: (items,) users who had each item."""

    scorer: Scorer
    dial: float
    counts: FloatArray

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        added = self.dial * np.log1p(np.asarray(self.counts, np.float64))
        return np.asarray(self.scorer.score(users) + added.astype(np.float32))


def _size(values: FloatArray) -> float:
    """Root mean square; 1 for nothing but zeros."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0

"""Negative samplers: uniform draws, draws by popularity, or half of each."""

from math import ceil

import numpy as np

from recsys.core.arrays import Float64Array, Int64Array
from recsys.core.config import TrainConfig


class Negatives:
    """Draws items with replacement.

    uniform: every item alike. popularity: in proportion to degree^power (Mikolov et al. 2013 with
    power ¾). mixed: the first half uniform, the rest by popularity (Yang et al. 2020).

    degrees: (items,) pairs of each item.
    """

    def __init__(self, degrees: Int64Array, config: TrainConfig) -> None:
        self._items = len(degrees)
        self._kind = config.negative_sampling
        # q_i = degree_i^power / Σ_j degree_j^power
        powers = np.maximum(degrees, 1.0) ** config.negative_power
        weight = np.where(degrees > 0, powers, 0.0)
        self._probability = weight / max(weight.sum(), 1e-12)
        self._cumulative = np.cumsum(self._probability)
        self._cumulative /= self._cumulative[-1]

    def draw(self, count: int, draw: np.random.Generator) -> Int64Array:
        """(count,) item ids."""
        num_uniform = self._num_uniform(count)
        uniform = draw.integers(0, self._items, num_uniform)
        if num_uniform == count:
            return uniform
        # By the inverse of the cumulative distribution.
        chance = draw.random(count - num_uniform)
        popular = np.searchsorted(self._cumulative, chance, side="right")
        return np.concatenate([uniform, popular])

    def expected(self, count: int) -> Float64Array:
        """(items,) how often `count` draws are expected to hold each item."""
        num_uniform = self._num_uniform(count)
        by_popularity = (count - num_uniform) * self._probability
        return np.asarray(num_uniform / self._items + by_popularity)

    def _num_uniform(self, count: int) -> int:
        if self._kind == "uniform":
            return count
        return ceil(count / 2) if self._kind == "mixed" else 0

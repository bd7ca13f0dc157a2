"""Which items stand for what a user did not take: uniform draws, draws by popularity, or half of
each.
"""

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
        weight = np.where(degrees > 0, np.maximum(degrees, 1.0) ** config.negative_power, 0.0)
        self._share = weight / max(weight.sum(), 1e-12)
        self._cumulative = np.cumsum(self._share)
        self._cumulative /= self._cumulative[-1]

    def draw(self, count: int, draw: np.random.Generator) -> Int64Array:
        """(count,) item ids."""
        uniform = self._uniform(count)
        alike = draw.integers(0, self._items, uniform)
        if uniform == count:
            return alike
        return np.concatenate(
            [alike, np.searchsorted(self._cumulative, draw.random(count - uniform), side="right")]
        )

    def expected(self, count: int) -> Float64Array:
        """(items,) how often `count` draws are expected to hold each item."""
        uniform = self._uniform(count)
        return np.asarray(uniform / self._items + (count - uniform) * self._share)

    def _uniform(self, count: int) -> int:
        return {"uniform": count, "popularity": 0, "mixed": -(-count // 2)}[self._kind]

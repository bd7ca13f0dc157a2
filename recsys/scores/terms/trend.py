"""What is popular of recent days gains in everybody's lists."""

from typing import ClassVar

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.interactions import Interactions
from recsys.core.ladder import Ladder
from recsys.scores.addition import Addition
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.recency import decayed_counts, half_life_ladder
from recsys.scores.spread import factor, logarithm_of_counts
from recsys.scores.term import (
    Move,
    Stage,
    Term,
    VectorSource,
    WeightedSettings,
    grid,
    refined,
)

WEIGHTS = Ladder((0.25, 0.5, 1.0, 2.0, 4.0, 8.0), lowest=0.05, highest=100.0)
USUAL_DAYS = 7.0


class TrendSettings(WeightedSettings):
    """The trend in a score.

    weight: its standard deviation over the items, in those of the vectors' scores.
    half_life_days: of the interactions that are counted (`trending`).
    """

    without_default: ClassVar[tuple[str, ...]] = ("half_life_days",)
    half_life_days: float = 0.0

    @property
    def extremity(self) -> float:
        """Halvings of the half-life under a week."""
        if not self.half_life_days:
            return 0.0
        return max(0.0, float(np.log2(USUAL_DAYS / self.half_life_days)))

    def explain(self) -> dict[str, float]:
        if not self.weight:
            return {}
        return {f"trend of {self.half_life_days:g} days": self.weight}


class Trend(Term[TrendSettings]):
    """Adds the same to every list, where what is held out comes later than what is learned from."""

    name = "trend"
    settings = TrendSettings
    order = 20

    def __init__(self, inputs: TermInputs, chosen: TrendSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._trends = LastResults(self._trend)

    def moves(self, vectors: VectorSource) -> list[Move[TrendSettings]]:
        days = half_life_ladder(self.inputs.data)
        if not days.values:
            return []
        options = grid(Stage.EVERYBODY, TrendSettings, half_life_days=days, weight=WEIGHTS)
        return [options, refined(TrendSettings)]

    def addition(self, settings: TrendSettings, weights: HistoryWeights, unit: float) -> Addition:
        trend = self._trends(settings.half_life_days)
        spread = float(trend.std(dtype=np.float64))
        scale = factor(settings.weight * unit, spread)
        return Addition(everybody=trend * np.float32(scale))

    def _trend(self, half_life_days: float) -> Float32Array:
        data = self.inputs.data
        return trending(data.interactions, data.target, half_life_days)


def trending(interactions: Interactions, target: str, half_life_days: float) -> Float32Array:
    """(items,) ln(1 + 10 n / mean n), n being the decayed rows of an item under the target."""
    recent, _ = decayed_counts(interactions, target, half_life_days)
    return logarithm_of_counts(recent)

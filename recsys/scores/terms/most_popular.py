"""What is popular gains in everybody's lists, whether or not the log has times."""

import numpy as np

from recsys.closed_form.popularity import fit_popularity, fit_recent_popularity
from recsys.core.arrays import Float32Array
from recsys.core.ladder import Ladder
from recsys.scores.addition import Addition
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
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


class MostPopularSettings(WeightedSettings):
    """Popularity in a score.

    share: of the target's rows those that are counted, the latest; 1 for all of time.
    """

    share: float = 1.0

    def explain(self) -> dict[str, float]:
        if not self.weight:
            return {}
        counted = "of all time" if self.share == 1 else f"of the latest {self.share:.0%} of rows"
        return {f"popularity {counted}": self.weight}


class MostPopular(Term[MostPopularSettings]):
    """Adds the same to every list."""

    name = "most_popular"
    settings = MostPopularSettings
    order = 25

    def __init__(self, inputs: TermInputs, chosen: MostPopularSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._gains = LastResults(self._gain)

    def moves(self, vectors: VectorSource) -> list[Move[MostPopularSettings]]:
        if not self.inputs.data.config.blend.popularity:
            return []
        weights = grid(Stage.EVERYBODY, MostPopularSettings, weight=WEIGHTS)
        return [weights, refined(MostPopularSettings)]

    def addition(
        self, settings: MostPopularSettings, weights: HistoryWeights, unit: float
    ) -> Addition:
        gain = self._gains(settings.share)
        spread = float(gain.std(dtype=np.float64))
        scale = factor(settings.weight * unit, spread)
        return Addition(popular=gain * np.float32(scale))

    def _gain(self, share: float) -> Float32Array:
        """(items,) ln(1 + 10 n / mean n), n being the users of an item; of the latest rows, its rank."""
        data = self.inputs.data
        if share == 1:
            counts = fit_popularity(data.interactions, data.target).weights
        else:
            counts = fit_recent_popularity(data.interactions, data.target, share).weights
        return logarithm_of_counts(counts.astype(np.float64))

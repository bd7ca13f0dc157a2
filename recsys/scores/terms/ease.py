"""EASE as a term, in as many singular vectors as an index can hold."""

from functools import cached_property

import numpy as np

from recsys.closed_form.ease_factors import ease_factors
from recsys.closed_form.svd import Factors, truncated_svd
from recsys.core.arrays import Float32Array
from recsys.scores.addition import Addition, spread_of_factors
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor
from recsys.scores.term import Term, WeightedSettings

RANK = 1024
"""Singular vectors: all of a log of no more items, or users."""


class EaseSettings(WeightedSettings):
    """EASE in a score.

    regularisation: λ of the baseline (`closed_form.ease`).
    """

    regularisation: float = 200.0

    def explain(self) -> dict[str, float]:
        return {"EASE": self.weight} if self.weight else {}


class Ease(Term[EaseSettings]):
    """Adds h_u · into · backᵀ; a search tries it where the tuned baseline is as good as the model."""

    name = "ease"
    settings = EaseSettings
    order = 80

    def __init__(self, inputs: TermInputs, chosen: EaseSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._factors = LastResults(self._fit, size=1)

    def addition(self, settings: EaseSettings, weights: HistoryWeights, unit: float) -> Addition:
        into, back = self._factors(settings.regularisation)
        spread = spread_of_factors(into, back, self.inputs.sample_histories(weights))
        scale = factor(settings.weight * unit, spread)
        return Addition(into=into * np.float32(scale), back=back)

    @cached_property
    def _svd(self) -> Factors:
        pairs = self.inputs.pairs.astype(np.float64)
        return truncated_svd(pairs, RANK, self.inputs.data.config.seed)

    def _fit(self, regularisation: float) -> tuple[Float32Array, Float32Array]:
        return ease_factors(self._svd, regularisation)

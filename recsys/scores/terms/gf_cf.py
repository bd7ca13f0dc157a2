"""GF-CF as a term: its linear filter as a table, and its low-pass beside it."""

import numpy as np
from scipy import sparse

from recsys.closed_form.low_pass import low_pass
from recsys.closed_form.spectral import normalised
from recsys.core.arrays import Float32Array
from recsys.scores.addition import Addition, spread_of_table
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor
from recsys.scores.term import Term, WeightedSettings


class GfCfSettings(WeightedSettings):
    """GF-CF in a score.

    rank: singular vectors of the low-pass.
    low_pass_weight: of the low-pass, as against 1 of the linear filter (`closed_form.gfcf`).
    """

    rank: int = 256
    low_pass_weight: float = 0.3

    def explain(self) -> dict[str, float]:
        return {"GF-CF": self.weight} if self.weight else {}


class GfCf(Term[GfCfSettings]):
    """Adds h_u · (P + w · into · backᵀ), weights counted in the spread of h_u · P; a search tries it
    where the tuned baseline is as good as the model.
    """

    name = "gf_cf"
    settings = GfCfSettings
    order = 90

    def __init__(self, inputs: TermInputs, chosen: GfCfSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._factors = LastResults(self._fit, size=1)

    def addition(self, settings: GfCfSettings, weights: HistoryWeights, unit: float) -> Addition:
        table, into, back = self._factors(settings.rank if settings.low_pass_weight else 0)
        spread = spread_of_table(table, self.inputs.sample_histories(weights))
        scale = factor(settings.weight * unit, spread)
        scaled_into = into * np.float32(scale * settings.low_pass_weight)
        return Addition(table=table * scale, into=scaled_into, back=back)

    def _fit(self, rank: int) -> tuple[sparse.csr_matrix, Float32Array, Float32Array]:
        """P = R̃ᵀR̃ of R̃ = D_U^(−½) R D_I^(−½), and the low-pass."""
        pairs = self.inputs.pairs
        adjacency = normalised(pairs)
        linear = (adjacency.T @ adjacency).tocsr().astype(np.float32)
        into, back = low_pass(pairs, rank, self.inputs.data.config.seed, self.inputs.progress)
        return linear, into, back

"""The low-pass of the log: what its strongest singular vectors keep of a history (GF-CF)."""

from functools import cached_property

import numpy as np

from recsys.closed_form.low_pass import low_pass
from recsys.core.arrays import Float32Array
from recsys.scores.addition import Addition, combined
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor, spread_of_products
from recsys.scores.term import Move, Stage, Term, TermSettings, VectorSource

WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2)
RANKS = (512, 256, 128, 64)


class LowPassSettings(TermSettings):
    """The low-pass in a score.

    weight: of its scores, in standard deviations of the vectors' scores over the items.
    rank: singular vectors, at most.
    """

    weight: float = 0.0
    rank: int = RANKS[0]

    @property
    def adds(self) -> bool:
        return bool(self.weight)

    def explain(self) -> dict[str, float]:
        return {"low-pass": self.weight} if self.weight else {}


class LowPass(Term[LowPassSettings]):
    """Adds h_u · into · backᵀ, h_u being the history of a user (`closed_form.low_pass`)."""

    name = "low_pass"
    settings = LowPassSettings
    order = 50

    def __init__(self, inputs: TermInputs, chosen: LowPassSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._spreads = LastResults(self._spread)

    @cached_property
    def factors(self) -> tuple[Float32Array, Float32Array]:
        """(items, rank) each: into, back."""
        rank = RANKS[0]
        if self.chosen is not None:
            rank = self.chosen.rank if self.chosen.adds else 0
        config = self.inputs.data.config
        rank = min(rank, config.blend.low_pass_rank)
        return low_pass(self.inputs.pairs, rank, config.seed)

    def moves(self, vectors: VectorSource) -> list[Move[LowPassSettings]]:
        if not self._full_rank:
            return []
        return [
            Move(Stage.GRID, LowPassSettings, _weights),
            Move(Stage.GRID, LowPassSettings, self._ranks),
        ]

    def addition(self, settings: LowPassSettings, weights: HistoryWeights, unit: float) -> Addition:
        into, back = self.factors
        scale = factor(settings.weight * unit, self._spreads((settings.rank, weights)))
        rank = settings.rank
        return Addition(into=into[:, :rank] * np.float32(scale), back=back[:, :rank])

    @property
    def _full_rank(self) -> int:
        return int(self.factors[0].shape[1])

    def _ranks(self, settings: LowPassSettings) -> list[LowPassSettings]:
        ranks = list(dict.fromkeys(min(rank, self._full_rank) for rank in RANKS))
        if len(ranks) == 1:
            return []
        return [settings.changed(rank=rank) for rank in ranks]

    def _spread(self, key: tuple[int, HistoryWeights]) -> float:
        """Of the low-pass's scores before its weight."""
        rank, weights = key
        into, back = self.factors
        addition = Addition(into=into[:, :rank], back=back[:, :rank])
        scores = combined([addition], self.inputs.num_items)
        histories = self.inputs.sample_histories(weights)
        return spread_of_products(scores.queries(histories.items), scores.back)


def _weights(settings: LowPassSettings) -> list[LowPassSettings]:
    return [settings.changed(weight=weight) for weight in WEIGHTS]

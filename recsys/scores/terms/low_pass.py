"""The low-pass of the log: what its strongest singular vectors keep of a history (GF-CF)."""

from functools import cached_property

import numpy as np

from recsys.closed_form.low_pass import low_pass
from recsys.core.arrays import Float32Array
from recsys.core.ladder import Ladder
from recsys.scores.addition import Addition, spread_of_factors
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor
from recsys.scores.term import Move, Stage, Term, VectorSource, WeightedSettings, grid

WEIGHTS = Ladder((0.0, 0.02, 0.05, 0.1, 0.2), lowest=0.005, highest=100.0)
RANKS = (512, 256, 128, 64)
LOWEST_RANK = 8

Factors = tuple[Float32Array, Float32Array]


class LowPassSettings(WeightedSettings):
    """The low-pass in a score.

    weight: of its scores, in standard deviations of the vectors' scores over the items.
    rank: singular vectors, at most.
    """

    rank: int = RANKS[0]

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
    def factors(self) -> Factors:
        """(items, rank) each: into, back."""
        config = self.inputs.data.config
        rank = RANKS[0]
        if self.chosen is not None:
            rank = self.chosen.rank
        rank = min(rank, config.blend.low_pass_rank)
        return low_pass(self.inputs.pairs, rank, config.seed, self.inputs.progress)

    def moves(self, vectors: VectorSource) -> list[Move[LowPassSettings]]:
        into, _ = self.factors
        full_rank = into.shape[1]
        if not full_rank:
            return []
        moves = [grid(Stage.GRID, LowPassSettings, weight=WEIGHTS)]
        ranks = [rank for rank in RANKS if rank < full_rank]
        if ranks:
            ranks.insert(0, min(RANKS[0], full_rank))
            # There are no more singular vectors than these; of fewer the search finds out.
            ladder = Ladder(ranks, lowest=LOWEST_RANK, highest=full_rank)
            moves.append(grid(Stage.GRID, LowPassSettings, rank=ladder))
        return moves

    def addition(self, settings: LowPassSettings, weights: HistoryWeights, unit: float) -> Addition:
        into, back = self._of_rank(settings.rank)
        spread = self._spreads((settings.rank, weights))
        scale = factor(settings.weight * unit, spread)
        return Addition(into=into * np.float32(scale), back=back)

    def _of_rank(self, rank: int) -> Factors:
        """The factors of the strongest singular vectors."""
        into, back = self.factors
        return into[:, :rank], back[:, :rank]

    def _spread(self, key: tuple[int, HistoryWeights]) -> float:
        """Of the low-pass's scores before its weight."""
        rank, weights = key
        into, back = self._of_rank(rank)
        return spread_of_factors(into, back, self.inputs.sample_histories(weights))

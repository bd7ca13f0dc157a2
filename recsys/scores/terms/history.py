"""How the items of a history weigh, in every term that reads histories."""

import math

from recsys.core.ladder import Ladder
from recsys.scores.inputs import HistoryWeights
from recsys.scores.term import Move, Stage, Term, TermSettings, VectorSource, grid

HALF_LIVES_EVENTS = Ladder((None, 50.0, 20.0, 5.0), lowest=0.5, highest=200.0)
AUXILIARY_WEIGHTS = Ladder((0.0, 0.1, 0.2, 0.4), lowest=0.02, highest=2.0)


class HistorySettings(TermSettings):
    """Exponential decay by position, and the weight of auxiliary behaviours.

    half_life_events: events after which an item of a history counts half; None where all count
        alike.
    auxiliary_weight: what an item under an auxiliary behaviour weighs in a history, as against 1 of
        the target; above 0, users' auxiliary pairs count in the item–item table too.
    """

    half_life_events: float | None = None
    auxiliary_weight: float = 0.0

    @property
    def extremity(self) -> float:
        """Halvings of the half-life under five events."""
        if self.half_life_events is None:
            return 0.0
        return max(0.0, math.log2(5.0 / self.half_life_events))

    def weighed(self, weights: HistoryWeights) -> HistoryWeights:
        return HistoryWeights(self.half_life_events, self.auxiliary_weight)

    def explain(self) -> dict[str, float]:
        if not self.auxiliary_weight:
            return {}
        return {"auxiliary behaviours in histories": self.auxiliary_weight}


class History(Term[HistorySettings]):
    """Adds nothing itself: the item–item table and the low-pass read histories so."""

    name = "history"
    settings = HistorySettings
    order = 40

    def moves(self, vectors: VectorSource) -> list[Move[HistorySettings]]:
        data = self.inputs.data
        moves = []
        if self.inputs.auxiliary:
            moves.append(grid(Stage.AUXILIARY, HistorySettings, auxiliary_weight=AUXILIARY_WEIGHTS))
        is_read = data.config.blend.neighbours or data.config.blend.low_pass_rank
        if data.interactions.time is not None and is_read:
            moves.append(grid(Stage.GRID, HistorySettings, half_life_events=HALF_LIVES_EVENTS))
        return moves

"""How much the vectors of users lean on late events, and on what is known of the user alone."""

import math
from typing import Literal

from recsys.core.ladder import Ladder
from recsys.scores.term import Move, Stage, Term, TermSettings, VectorSource, grid
from recsys.scores.trained_vectors import VectorScaling

HALF_LIVES_EVENTS = Ladder((50.0, 20.0, 10.0, 5.0, 3.0), lowest=0.5, highest=400.0)
SELF_WEIGHTS = (1.0, 0.3, 0.0)


class TrainedVectorsSettings(TermSettings):
    """How users are encoded for their inner products with items (`VectorScaling`).

    weight: 1, or 0 where the vectors have no part in the scores; similar items are theirs still.
    half_life_events: of the events of a user; None leaves users as trained.
    self_weight: factor on the users' own layer-0 states.
    """

    weight: Literal[0, 1] = 1
    half_life_events: float | None = None
    self_weight: float = 1.0

    @property
    def parts(self) -> int:
        """The vectors themselves, and what is made of them; none where they weigh nothing."""
        return 1 + int(self.counts) if self.weight else 0

    @property
    def extremity(self) -> float:
        """Halvings of the half-life under five events."""
        if self.half_life_events is None:
            return 0.0
        return max(0.0, math.log2(5.0 / self.half_life_events))

    def scaled(self, scaling: VectorScaling) -> VectorScaling:
        return scaling._replace(
            half_life_events=self.half_life_events,
            self_weight=self.self_weight,
            weight=self.weight,
        )

    def explain(self) -> dict[str, float]:
        return {} if self.weight else {"trained vectors": 0.0}


class TrainedVectorsTerm(Term[TrainedVectorsSettings]):
    """The inner products of trained vectors: they are always there, and can be turned to the late."""

    name = "trained_vectors"
    settings = TrainedVectorsSettings
    order = 0

    def moves(self, vectors: VectorSource) -> list[Move[TrainedVectorsSettings]]:
        if not (self.inputs.data.config.blend.recency and vectors.can_decay):
            return []
        return [
            grid(Stage.VECTORS, TrainedVectorsSettings, half_life_events=HALF_LIVES_EVENTS),
            grid(Stage.VECTORS, TrainedVectorsSettings, self_weight=SELF_WEIGHTS),
            Move(
                Stage.USERS_AGAIN,
                TrainedVectorsSettings,
                _half_lives_again,
                ladders={"half_life_events": HALF_LIVES_EVENTS},
            ),
        ]


def _half_lives_again(settings: TrainedVectorsSettings) -> list[TrainedVectorsSettings]:
    """Only where late events were found to count more."""
    if settings.half_life_events is None:
        return []
    half_lives = [None, *HALF_LIVES_EVENTS.values]
    return [settings.changed(half_life_events=half_life) for half_life in half_lives]

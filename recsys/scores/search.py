"""A search over the settings of terms: one coordinate after the other, on any value."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from recsys.core.progress import QUIET, Progress
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.last_results import LastResults
from recsys.scores.term import Move, Stage

Value = Callable[[Blend], float]

CLEAR = 1.1
"""A choice that did not carry to other rows for less has to gain a tenth on validation."""


def _stage(move: Move[Any]) -> Stage:
    return move.stage


def _kind(move: Move[Any]) -> type:
    return move.kind


class Search:
    """Coordinate search from the vectors alone; it ends by comparing with them.

    value: of a blend, the larger the better; asked once for each.
    """

    def __init__(self, value: Value) -> None:
        self.value = LastResults(value)

    def best(self, moves: Sequence[Move[Any]], progress: Progress = QUIET) -> Blend:
        """The best blend on the way, the vectors alone among equals.

        moves: of all terms, in the order of the terms.
        """
        of_vectors: list[Move[Any]] = []
        later: list[Move[Any]] = []
        for move in sorted(moves, key=_stage):
            moves_of_stage = of_vectors if move.stage == Stage.VECTORS else later
            moves_of_stage.append(move)
        ways = [self._with_clearly_better_vectors(NO_BLEND, of_vectors)]
        for move in progress.track(later, "blending", len(later)):
            ends = [self._moved(way, move) for way in ways]
            if move.stage == Stage.FORK:
                # The way before the fork goes on beside the new one.
                ends = [*ways, *ends]
            ways = list(dict.fromkeys(ends))
        # Among equals the first is taken: nothing is added unless that is better.
        candidates = [NO_BLEND, *ways]
        return max(candidates, key=self.value)

    def _with_clearly_better_vectors(self, blend: Blend, moves: Sequence[Move[Any]]) -> Blend:
        """What each term makes of the vectors, where that is clearly better than to leave them."""
        for _, moves_of_term in itertools.groupby(moves, key=_kind):
            changed = blend
            for move in moves_of_term:
                changed = self._moved(changed, move)
            if self.value(changed) > CLEAR * self.value(blend):
                blend = changed
        return blend

    def _moved(self, blend: Blend, move: Move[Any]) -> Blend:
        """The best of the options of a move."""
        while True:
            candidates = [blend] if move.keeps else []
            for settings in move.options(blend.of(move.kind)):
                candidates.append(blend.with_settings(settings))
            best = max(candidates, key=self.value, default=blend)
            if best == blend or not move.climbs:
                return best
            blend = best

"""A search over the settings of terms: one coordinate after the other, on any value."""

from collections.abc import Callable, Sequence
from typing import Any

from recsys.core.progress import QUIET, Progress
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.last_results import LastResults
from recsys.scores.term import Move, Stage, TermSettings

Value = Callable[[Blend], float]

CLEAR = 1.1
"""A choice that did not carry to other rows for less has to gain a tenth on validation."""


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
        in_order = sorted(moves, key=lambda move: move.stage)
        vector_moves = [move for move in in_order if move.stage == Stage.VECTORS]
        ways = [self._with_clearly_better_vectors(NO_BLEND, vector_moves)]
        later_moves = in_order[len(vector_moves) :]
        for move in progress.track(later_moves, "blending", len(later_moves)):
            ends = [self._moved(way, move) for way in ways]
            if move.stage == Stage.FORK:
                # The way before the fork goes on beside the new one.
                ends = [*ways, *ends]
            ways = list(dict.fromkeys(ends))
        return max([NO_BLEND, *ways], key=self.value)

    def _with_clearly_better_vectors(self, blend: Blend, moves: Sequence[Move[Any]]) -> Blend:
        """What each term makes of the vectors, where that is clearly better than to leave them."""
        for kind in dict.fromkeys(move.kind for move in moves):
            changed = blend
            for move in moves:
                if move.kind is kind:
                    changed = self._moved(changed, move)
            if self.value(changed) > CLEAR * self.value(blend):
                blend = changed
        return blend

    def _moved(self, blend: Blend, move: Move[Any]) -> Blend:
        """The best of the options of a move."""
        while True:
            options: Sequence[TermSettings] = move.options(blend.of(move.kind))
            candidates = [blend.with_settings(settings) for settings in options]
            best = max(candidates, key=self.value, default=blend)
            if best == blend or not move.climbs:
                return best
            blend = best

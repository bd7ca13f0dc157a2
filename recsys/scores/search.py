"""A search over the settings of terms: one coordinate after the other, on values by user.

A step is taken only where it gains beyond the noise of validation. Of all blends tried the simplest
is chosen that is within noise of the best, in this order: fewer parts, the vectors being one and every
term another; fewer settings that differ from the vectors as trained; less extreme ones
(`TermSettings.extremity`); the larger value.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from recsys.core.ladder import MOST_STEPS
from recsys.core.noise import CHOICE_ERRORS, STEP_ERRORS, difference
from recsys.core.progress import QUIET, Progress
from recsys.evaluate.metrics import PerUser
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.last_results import LastResults
from recsys.scores.term import Move, Stage

Values = Callable[[Blend], PerUser]


def _stage(move: Move[Any]) -> Stage:
    return move.stage


def _kind(move: Move[Any]) -> type:
    return move.kind


class Search:
    """Coordinate search from the vectors alone; what it tried is compared at the end.

    values: by user, of a blend, the larger the better; asked once for each.
    """

    def __init__(self, values: Values) -> None:
        self.values = LastResults(values)

    def value(self, blend: Blend) -> float:
        """The mean over the users."""
        return float(np.mean(self.values(blend)))

    def best(self, moves: Sequence[Move[Any]], progress: Progress = QUIET) -> Blend:
        """The simplest within noise of the best of what `explore` tries."""
        return self.decide(self.explore(moves, progress))

    def explore(self, moves: Sequence[Move[Any]], progress: Progress = QUIET) -> Blend:
        """Step by step to the blend of the largest value, the vectors alone among equals.

        moves: of all terms, in the order of the terms.
        """
        of_vectors: list[Move[Any]] = []
        later: list[Move[Any]] = []
        for move in sorted(moves, key=_stage):
            moves_of_stage = of_vectors if move.stage == Stage.VECTORS else later
            moves_of_stage.append(move)
        ways = [self._with_better_vectors(NO_BLEND, of_vectors)]
        for move in progress.track(later, "blending", len(later)):
            ends = [self.moved(way, move) for way in ways]
            if move.stage == Stage.FORK:
                # The way before the fork goes on beside the new one.
                ends = [*ways, *ends]
            ways = list(dict.fromkeys(ends))
        return self.largest([NO_BLEND, *ways])

    def decide(self, best: Blend) -> Blend:
        """The simplest within noise of the best of all that was tried, and of parts of `best`."""
        self._try_without(best)
        return self.simplest()

    def gains(self, blend: Blend, other: Blend, errors: float = STEP_ERRORS) -> bool:
        """Whether one blend is better than another beyond noise."""
        if blend == other:
            return False
        return difference(self.values(blend), self.values(other)).beyond(errors)

    def largest(self, blends: Iterable[Blend]) -> Blend:
        """The blend of the largest value, the first among equals."""
        return max(blends, key=self.value)

    def simplest(self) -> Blend:
        """Of all that was tried, the simplest within noise of the best."""
        tried = self.values.results
        best = self.largest(list(tried))
        candidates = []
        for blend, values in tried.items():
            if blend == best or difference(tried[best], values).within(CHOICE_ERRORS):
                candidates.append(blend)
        return min(candidates, key=self._order)

    def _order(self, blend: Blend) -> tuple[int, int, float, float]:
        return (*blend.complexity, -self.value(blend))

    def _try_without(self, best: Blend) -> None:
        """Try a blend without each of its departures in turn, as long as that is within noise."""
        blend = best
        while True:
            within_noise = []
            for simpler in blend.simpler():
                gap = difference(self.values(best), self.values(simpler))
                if gap.within(CHOICE_ERRORS):
                    within_noise.append(simpler)
            if not within_noise:
                return
            blend = min(within_noise, key=self._order)

    def _with_better_vectors(self, blend: Blend, moves: Sequence[Move[Any]]) -> Blend:
        """What each term makes of the vectors, where that is better than to leave them."""
        for _, moves_of_term in itertools.groupby(moves, key=_kind):
            changed = blend
            for move in moves_of_term:
                changed = self.moved(changed, move)
            if self.gains(changed, blend):
                blend = changed
        return blend

    def moved(self, blend: Blend, move: Move[Any]) -> Blend:
        """The best of the options of a move, where it gains; past the ends of ladders too."""
        best = self._top(blend, move)
        if best != blend and (move.forced or self.gains(best, blend)):
            return self._past_the_ends(best, move)
        return self._past_the_ends(blend, move)

    def _top(self, blend: Blend, move: Move[Any]) -> Blend:
        """The option of the largest value; of a move that climbs, where a path of such options leads.

        The steps of a path may be smaller than noise: its end is what has to gain.
        """
        top = blend
        while True:
            candidates = []
            for settings in move.options(top.of(move.kind)):
                candidates.append(top.with_settings(settings))
            if not candidates:
                return top
            best = self.largest(candidates)
            if not move.climbs:
                return best
            if self.value(best) <= self.value(top):
                return top
            top = best

    def _past_the_ends(self, blend: Blend, move: Move[Any]) -> Blend:
        """Further along each ladder of a move whose end the blend stands at, as long as that gains."""
        for name in move.ladders:
            for _ in range(MOST_STEPS):
                settings = move.further(blend.of(move.kind), name)
                if settings is None:
                    break
                further = blend.with_settings(settings)
                if not self.gains(further, blend):
                    break
                blend = further
        return blend

"""How a blend is chosen: on what is held out, one coordinate after the other."""

import itertools
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.progress import QUIET, Progress
from recsys.evaluate.metrics import evenly
from recsys.phases.phase import Phase
from recsys.scores.additions import Additions
from recsys.scores.ingredients import (
    MET_POWERS,
    NO_BLEND,
    RANKS,
    RIDGES,
    Blend,
    Ingredients,
    ingredients,
    met_behaviors,
)
from recsys.scores.trained_vectors import TrainedVectors, VectorScaling
from recsys.scores.trend import CLEAR, half_lives
from recsys.search.exact import VectorScorer

_RECENT: tuple[float | None, ...] = (None, 50.0, 20.0, 10.0, 5.0, 3.0)
_OWN = (1.0, 0.3, 0.0)
_LENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_POPULARITIES = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
STRETCHES = tuple(itertools.product(_LENGTHS, _POPULARITIES))
"""Powers of length and popularity, together: what one takes, the other gives."""
_TABLE = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_GRID: tuple[tuple[str, tuple[float | None, ...]], ...] = (
    ("ridge", RIDGES),
    ("side", (0.0, 0.1, 0.3, 1.0, 3.0)),
    ("half_life", (None, 50.0, 20.0, 5.0)),
    ("low_pass", (0.0, 0.02, 0.05, 0.1, 0.2)),
    ("rank", RANKS),
)
"""One coordinate after the other, each with the others where they stand; the usual value first."""
_REFINED = (1.0, 0.0, 0.5, 0.75, 1.5, 2.0)
"""Factors on the weights of the table, the trend and of what was met that are tried last."""
_MET = (0.0, 1.0, 2.0, 4.0, 8.0)
_HEARD = (0.0, 0.1, 0.2, 0.4)
_TREND = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_JUDGES = 10_000  # held-out users that a choice looks at: enough to tell NDCG apart by less than the grid's steps


class Choice(NamedTuple):
    """value: NDCG on the validation users looked at; alone: that of the vectors alone. tried: all,
    in order.
    """

    blend: Blend
    value: float | None
    alone: float | None
    tried: list[dict[str, Any]]


def choose_blend(
    phase: Phase,
    vectors: VectorScorer | TrainedVectors,
    progress: Progress = QUIET,
    made: Ingredients | None = None,
) -> Choice:
    """The blend that does best on what is held out from `phase`; the vectors alone when nothing
    beats them.

    vectors: trained ones can take other shapes where the configuration lets them; those of a scorer
    stay as they are. made: `ingredients(phase)`, which several models can share; made here when
    absent.
    """
    config = phase.config.blend
    shapes = _shapes(phase, vectors)
    adds = config.neighbours or config.low_pass_rank or half_lives(phase) or met_behaviors(phase)
    if not len(phase.judge.held_out_users) or not (adds or any(shapes)):
        return Choice(NO_BLEND, None, None, [])
    search = _Search(phase, vectors, made or ingredients(phase, None, progress))
    best, value = search.run(progress, shapes)
    return Choice(best, value, search.value(NO_BLEND), search.tried)


class _Shapes(NamedTuple):
    """What a search may make of its vectors: users that lean on late events, items of other
    lengths.
    """

    fading: bool
    stretching: bool


def _shapes(phase: Phase, vectors: VectorScorer | TrainedVectors) -> _Shapes:
    if isinstance(vectors, VectorScorer):
        return _Shapes(False, False)
    config = phase.config.blend
    return _Shapes(config.recency and vectors.can_fade, config.lengths and vectors.can_stretch)


class _Search:
    """Values of blends on one phase; what they share is kept from one to the next."""

    def __init__(
        self, phase: Phase, vectors: VectorScorer | TrainedVectors, made: Ingredients
    ) -> None:
        self.phase, self.given, self.made = phase, vectors, made
        self.users = lru_cache(2)(self._users)
        self.additions = Additions(phase, made, lru_cache(2)(self._vectors))
        self.tried: list[dict[str, Any]] = []
        self.value = lru_cache(None)(self._value)

    def run(self, progress: Progress, shapes: _Shapes) -> tuple[Blend, float]:
        """Two ways where the table can be told what is fresh: told from the beginning, the other
        coordinates end elsewhere.
        """
        starts = [self._start(shapes)]
        if self.made.tables:
            plain = self._best(starts[0], "table", _TABLE)
            starts = list(dict.fromkeys([plain, self._late(plain, "fresh_days", "table", _TABLE)]))
        grid = self._grid()
        steps = list(itertools.product(range(len(starts)), grid))
        for way, (name, options) in progress.track(steps, "blending", len(steps)):
            starts[way] = self._best(starts[way], name, options)
        # Among equals the simplest stays: nothing is added unless that is better on validation.
        candidates = [NO_BLEND, *(self._refined(one, shapes) for one in starts)]
        best = max(candidates, key=self.value)
        return best, self.value(best)

    def _refined(self, blend: Blend, shapes: _Shapes) -> Blend:
        """With what was taken of late, in shape, and at finer weights."""
        best = self._best(blend, "recent", _RECENT) if blend.recent is not None else blend
        best = self._late(best, "trend_days", "trend", _TREND)
        if shapes.stretching:
            best = self._stretched(best)
        for name in ("table", "trend"):
            best = self._best(best, name, [factor * getattr(best, name) for factor in _REFINED])
        for behavior, weight in best.met:
            best = self._best(
                best, "met", [best.meeting(behavior, factor * weight) for factor in _REFINED]
            )
        return best

    def _start(self, shapes: _Shapes) -> Blend:
        """Vectors in a shape of their own only where that is clearly better; what users met, beside
        the usual table.
        """
        best = NO_BLEND
        if shapes.fading:
            best = self._clearly(best, self._recent(best))
        if shapes.stretching:
            best = self._clearly(best, self._stretched(best))
        if self.made.tables:
            best = best.model_copy(update={"table": Blend().table})
        for behavior in [name for name in self.made.met if name not in self.phase.seen_behaviors]:
            best = self._best(best, "met", [best.meeting(behavior, weight) for weight in _MET])
        best = self._best(best, "met_power", MET_POWERS if best.met else MET_POWERS[:1])
        return self._best(best, "heard", _HEARD if self.made.met else _HEARD[:1])

    def _recent(self, blend: Blend) -> Blend:
        """Vectors of users that lean on late events."""
        return self._best(self._best(blend, "recent", _RECENT[1:]), "own", _OWN)

    def _stretched(self, blend: Blend) -> Blend:
        """Item vectors of other lengths: from one point of `STRETCHES` to the best beside it, until
        there is none.
        """
        while True:
            powers = itertools.product(
                _beside(blend.length, _LENGTHS), _beside(blend.popularity, _POPULARITIES)
            )
            near = [
                blend.model_copy(update={"length": one, "popularity": other})
                for one, other in powers
            ]
            best = max([blend, *near], key=self.value)
            if best == blend:
                return blend
            blend = best

    def _late(self, blend: Blend, days: str, weight: str, weights: Sequence[float]) -> Blend:
        """With what was taken of late, of any half-life and weight."""
        pairs = itertools.product(half_lives(self.phase), weights)
        return max(
            [blend, *(blend.model_copy(update={days: one, weight: other}) for one, other in pairs)],
            key=self.value,
        )

    def _clearly(self, blend: Blend, other: Blend) -> Blend:
        """The other one where it is clearly better: vectors are else left as trained at first."""
        return other if self.value(other) > CLEAR * self.value(blend) else blend

    def _best(self, blend: Blend, name: str, options: Sequence[Any]) -> Blend:
        """The best of `options` for one coordinate; the earlier one among equals."""
        return max((blend.model_copy(update={name: option}) for option in options), key=self.value)

    def _grid(self) -> list[tuple[str, tuple[float | None, ...]]]:
        """The coordinates that the log and the configuration have."""
        rank = self.made.back.shape[1]
        ranks = tuple(dict.fromkeys(min(one, rank) for one in RANKS))
        there = {
            "ridge": self.made.tables is not None,
            "half_life": self.phase.interactions.time is not None,
            "low_pass": rank > 0,
            "rank": len(ranks) > 1,
            "side": self.made.tables is not None and self.made.tables.side is not None,
        }
        return [
            (name, ranks if name == "rank" else options) for name, options in _GRID if there[name]
        ]

    def _value(self, blend: Blend) -> float:
        value = self.phase.judge.ndcg(self.additions.scorer(blend), self._judges)
        self.tried.append({**blend.model_dump(), "value": value})
        return value

    @cached_property
    def _judges(self) -> Int32Array:
        return evenly(self.phase.judge.held_out_users, _JUDGES)

    def _users(self, recent: float | None, own: float) -> Float32Array:
        """Users of whom those that a choice looks at are as asked for."""
        assert isinstance(self.given, TrainedVectors)
        return self.given.users(
            np.union1d(self._judges, self.additions.sample), VectorScaling(recent, own)
        )

    def _vectors(self, scaling: VectorScaling) -> VectorScorer:
        if isinstance(self.given, VectorScorer):
            return self.given
        return VectorScorer(
            self.users(scaling.half_life_events, scaling.self_weight), self.given.items(scaling)
        )


def _beside(value: float, places: tuple[float, ...]) -> tuple[float, ...]:
    """A place and those before and after it."""
    at = places.index(value)
    return places[max(at - 1, 0) : at + 2]

"""What a user's past adds to the trained vectors, weighed on validation.

Items of the history speak for others through an item–item table and a low-pass; an item that its user met under another
behaviour (viewed, and did not buy) gains by how often that leads to the target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from recsys.closed_form.conversion import conversion
from recsys.closed_form.item_item import histories, item_item_tables
from recsys.closed_form.low_pass import low_pass
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import Scorer
from recsys.index.exact import Floats, VectorScorer
from recsys.index.history import BlendedScorer, HistoryScores, Past
from recsys.phases import Phase

_RIDGES = (15.0, 50.0, 5.0, 150.0)
_RANKS = (512, 256, 128, 64)
_GRID: tuple[tuple[str, tuple[float | None, ...]], ...] = (
    ("table", (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)),
    ("ridge", _RIDGES),
    ("half_life", (None, 50.0, 20.0, 5.0)),
    ("low_pass", (0.0, 0.02, 0.05, 0.1, 0.2)),
    ("rank", _RANKS),
)
"""One coordinate after the other, each with the others where they stand; the usual value first."""
_REFINED = (1.0, 0.0, 0.5, 0.75, 1.5, 2.0)
"""Factors on the weights of the table and of what was met that are tried last."""
_MET = (0.0, 1.0, 2.0, 4.0, 8.0)
_MET_POWERS = (1.0, 0.5, 0.25)
_JUDGES = 10_000  # held-out users that a choice looks at: enough to tell NDCG apart by less than the grid's steps
_SPREAD_USERS = 2_000


class Blend(BaseModel):
    """table, low_pass: weights of their scores once all spread alike over the items; 0 leaves one out.

    ridge: see `item_item_tables`. rank: of the low-pass, at most. half_life: see `HistoryScores`. met: by behaviour,
    what an item gains on the mean that its user met under it, in standard deviations of the vectors' scores over the
    items; met_power: what one item gains goes with this power of its `conversion`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: float = 0.2
    ridge: float = _RIDGES[0]
    half_life: float | None = None
    low_pass: float = 0.0
    rank: int = _RANKS[0]
    met: tuple[tuple[str, float], ...] = ()
    met_power: float = _MET_POWERS[0]

    @property
    def empty(self) -> bool:
        """Whether the vectors are left alone."""
        return not self.table and not self.low_pass and not self.met

    def weights(self) -> dict[str, float]:
        """Of everything that may be added, in words."""
        met = {f"met by {behavior}": weight for behavior, weight in self.met}
        return {"item–item table": self.table, "low-pass": self.low_pass, **met}

    def meeting(self, behavior: str, weight: float) -> tuple[tuple[str, float], ...]:
        """`met` with another weight for one behaviour; 0 leaves it out."""
        return tuple((name, value) for name, value in {**dict(self.met), behavior: weight}.items() if value)


NO_BLEND = Blend(table=0.0)


class Choice(NamedTuple):
    """value: NDCG on the validation users looked at; alone: that of the vectors alone. tried: all, in order."""

    blend: Blend
    value: float | None
    alone: float | None
    tried: list[dict[str, Any]]


@dataclass(frozen=True)
class Ingredients:
    """What blends are made from; it depends on the rows of a phase alone.

    tables: by ridge. into, back: low-pass. met: by behaviour that may count, (users, items) 0/1.
    """

    tables: dict[float, sparse.csr_matrix]
    into: Floats
    back: Floats
    met: dict[str, sparse.csr_matrix]


def ingredients(phase: Phase, blend: Blend | None = None, progress: Progress = QUIET) -> Ingredients:
    """What every blend of the grid needs, or what `blend` does."""
    config, pairs = phase.config.blend, phase.interactions.matrix((phase.target,))
    ridges = _RIDGES if blend is None else [blend.ridge] if blend.table else []
    rank = max(_RANKS) if blend is None else blend.rank if blend.low_pass else 0
    tables = item_item_tables(pairs, config.neighbours, ridges, progress) if config.neighbours and ridges else []
    factors = low_pass(pairs, min(rank, config.low_pass_rank), phase.config.seed)
    behaviors = met_behaviors(phase) if blend is None else [name for name, _ in blend.met]
    met = {name: phase.interactions.matrix((name,)) for name in behaviors}
    return Ingredients(dict(zip(ridges, tables, strict=False)), *factors, met)


def met_behaviors(phase: Phase) -> list[str]:
    """Behaviours that lead to the target without hiding items: present, of a weight above 0, and neither negative."""
    config, log = phase.config, phase.interactions
    out = {*phase.seen_behaviors, phase.target}
    weights = config.graph.behavior_weights
    wanted = [name for name in log.behaviors if name not in out and weights.get(name, 1.0)]
    return [name for name in wanted if log.of(name).any()] if config.blend.met else []


def choose_blend(
    phase: Phase, vectors: VectorScorer, progress: Progress = QUIET, made: Ingredients | None = None
) -> Choice:
    """The blend that does best on what is held out from `phase`; the vectors alone when nothing beats them.

    made: `ingredients(phase)`, which several models can share; made here when absent.
    """
    config = phase.config.blend
    if not len(phase.held_out_users) or not (config.neighbours or config.low_pass_rank or met_behaviors(phase)):
        return Choice(NO_BLEND, None, None, [])
    search = _Search(phase, vectors, made or ingredients(phase, None, progress))
    best, value = search.run(progress)
    return Choice(best, value, search.value(NO_BLEND), search.tried)


def fit_history(
    phase: Phase, vectors: VectorScorer, blend: Blend, progress: Progress = QUIET, made: Ingredients | None = None
) -> HistoryScores | None:
    """What histories add in `phase`, weighed in units of the vectors' scores; None when nothing."""
    if blend.empty:
        return None
    return _Search(phase, vectors, made or ingredients(phase, blend, progress)).scores(blend)


def with_history(phase: Phase, vectors: VectorScorer, added: HistoryScores | None) -> VectorScorer | BlendedScorer:
    """The scorer of a phase: the vectors, and what histories add."""
    if added is None:
        return vectors
    log = phase.interactions
    met = {name: log.matrix((name,)) for name in added.gain}
    return BlendedScorer(vectors, added, Past(histories(log, phase.target, added.half_life), met))


def blended(
    phase: Phase, vectors: VectorScorer, blend: Blend, progress: Progress = QUIET, made: Ingredients | None = None
) -> VectorScorer | BlendedScorer:
    """`with_history` of a `fit_history`."""
    return with_history(phase, vectors, fit_history(phase, vectors, blend, progress, made))


class _Search:
    """Values of blends on one phase; what they share is kept from one to the next."""

    def __init__(self, phase: Phase, vectors: VectorScorer, made: Ingredients) -> None:
        self.phase, self.vectors, self.made = phase, vectors, made
        self.tried: list[dict[str, Any]] = []
        self.histories = lru_cache(2)(lambda half_life: histories(phase.interactions, phase.target, half_life))
        self.odds = lru_cache(None)(lambda behavior: conversion(made.met[behavior], self.histories(None)))
        self.value = lru_cache(None)(self._value)

    def run(self, progress: Progress) -> tuple[Blend, float]:
        grid = self._grid()
        best = Blend() if self.made.tables else NO_BLEND
        for behavior in self.made.met:
            best = self._best(best, "met", [best.meeting(behavior, weight) for weight in _MET])
        best = self._best(best, "met_power", _MET_POWERS if best.met else _MET_POWERS[:1])
        for name, options in progress.track(grid, "blending", len(grid)):
            best = self._best(best, name, options)
        best = self._best(best, "table", [factor * best.table for factor in _REFINED])
        for behavior, weight in best.met:
            best = self._best(best, "met", [best.meeting(behavior, factor * weight) for factor in _REFINED])
        return best, self.value(best)

    def _best(self, blend: Blend, name: str, options: Sequence[Any]) -> Blend:
        """The best of `options` for one coordinate; the earlier one among equals."""
        return max((blend.model_copy(update={name: option}) for option in options), key=self.value)

    def _grid(self) -> list[tuple[str, tuple[float | None, ...]]]:
        """The coordinates that the log and the configuration have."""
        rank = self.made.back.shape[1]
        ranks = tuple(dict.fromkeys(min(one, rank) for one in _RANKS))
        there = {
            "table": bool(self.made.tables),
            "ridge": bool(self.made.tables),
            "half_life": self.phase.interactions.time is not None,
            "low_pass": rank > 0,
            "rank": len(ranks) > 1,
        }
        return [(name, ranks if name == "rank" else options) for name, options in _GRID if there[name]]

    def _value(self, blend: Blend) -> float:
        value = self.phase.ndcg(self._scorer(blend), _evenly(self.phase.held_out_users, _JUDGES))
        self.tried.append({**blend.model_dump(), "value": value})
        return value

    def _scorer(self, blend: Blend) -> Scorer:
        if blend.empty:
            return self.vectors
        return BlendedScorer(self.vectors, self.scores(blend), self.past(blend))

    def past(self, blend: Blend) -> Past:
        return Past(self.histories(blend.half_life), {name: self.made.met[name] for name, _ in blend.met})

    def scores(self, blend: Blend) -> HistoryScores:
        taken = self.histories(blend.half_life)
        sample = _evenly(np.flatnonzero(np.diff(taken.indptr)).astype(np.int32), _SPREAD_USERS)
        spread, rank = _spread(self.vectors.user_vectors[sample], self.vectors.item_vectors), blend.rank
        none = sparse.csr_matrix((taken.shape[1], taken.shape[1]), dtype=np.float32)
        table = self.made.tables[blend.ridge] if blend.table else none
        into, back = (part[:, : rank if blend.low_pass else 0] for part in (self.made.into, self.made.back))
        plain, history = HistoryScores(table, into, back), taken[sample]
        of_table, of_low_pass = _spread_of_rows(plain.lend(Past(history, {}))), _spread(plain.queries(history), back)
        return HistoryScores(
            table * np.float32(_ratio(blend.table * spread, of_table)),
            into * np.float32(_ratio(blend.low_pass * spread, of_low_pass)),
            back,
            blend.half_life,
            {name: self._gain(name, weight * spread, blend.met_power) for name, weight in blend.met},
        )

    def _gain(self, behavior: str, wanted: float, power: float) -> Floats:
        """(items,) what meeting an item under `behavior` adds: `wanted` on the mean over the pairs met."""
        met = self.made.met[behavior]
        odds = self.odds(behavior) ** power
        of_pairs = float(odds[met.indices].mean(dtype=np.float64))
        return np.asarray(odds * _ratio(wanted, of_pairs), np.float32)


def _ratio(wanted: float, found: float) -> float:
    return wanted / found if found > 0 else 0.0


def _evenly(users: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """At most `count` of them, spread evenly: no draw, so the same for every blend."""
    if len(users) <= count:
        return users
    return users[np.arange(count) * len(users) // count]


def _spread(queries: Floats, items: Floats) -> float:
    """Mean standard deviation of a query's scores over the items, from the covariance of the item vectors."""
    if not items.shape[1]:
        return 0.0
    covariance = np.atleast_2d(np.cov(items.astype(np.float64), rowvar=False, bias=True))
    chosen = queries.astype(np.float64)
    return float(np.sqrt(np.maximum(np.einsum("nd,nd->n", chosen @ covariance, chosen), 0.0)).mean())


def _spread_of_rows(matrix: sparse.csr_matrix) -> float:
    """Mean standard deviation of rows, zeros included."""
    squares = np.asarray(matrix.multiply(matrix).mean(axis=1)).ravel()
    means = np.asarray(matrix.mean(axis=1)).ravel()
    return float(np.sqrt(np.maximum(squares - means**2, 0.0)).mean())

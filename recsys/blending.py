"""How much the item table adds to the trained vectors: its ridge, recency and weight, chosen on validation."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from recsys.closed_form.item_table import histories, item_tables
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import Scorer
from recsys.index.exact import VectorScorer
from recsys.index.item_table import BlendedScorer, ItemTable
from recsys.phases import Phase

_RIDGES = (15.0, 50.0, 5.0, 150.0)
_GRID: tuple[tuple[str, tuple[float | None, ...]], ...] = (
    ("weight", (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)),
    ("ridge", _RIDGES),
    ("half_life", (None, 50.0, 20.0, 5.0)),
)
"""One coordinate after the other, each with the others where they stand; the usual value first."""
_REFINED = (0.0, 0.5, 0.75, 1.5, 2.0)
"""Factors on the weight that are tried last."""
_JUDGES = 10_000  # held-out users that a choice looks at: enough to tell NDCG apart by less than the grid's steps
_SPREAD_USERS = 2_000


class Blend(BaseModel):
    """weight: of the table's scores once both spread alike over the items; 0 leaves the table out. ridge: see
    `item_tables`. half_life: see `ItemTable`."""

    model_config = ConfigDict(frozen=True)

    weight: float = 0.2
    ridge: float = _RIDGES[0]
    half_life: float | None = None


NO_BLEND = Blend(weight=0.0)


class Choice(NamedTuple):
    """value: NDCG on the validation users looked at; alone: that of the vectors alone. tried: all, in order."""

    blend: Blend
    value: float | None
    alone: float | None
    tried: list[dict[str, Any]]


Tables = Mapping[float, sparse.csr_matrix]
"""By ridge, what `item_tables` gives."""


def all_tables(phase: Phase, progress: Progress = QUIET) -> Tables:
    """The tables that `choose_blend` tries: they depend on the rows of `phase` alone, so several models can share them."""
    return _tables(phase, _RIDGES, progress)


def choose_blend(
    phase: Phase, vectors: VectorScorer, progress: Progress = QUIET, tables: Tables | None = None
) -> Choice:
    """The blend that does best on what is held out from `phase`; no table when nothing beats the vectors alone.

    tables: of `all_tables`, made here when absent.
    """
    if not phase.config.blend.neighbours or not len(phase.held_out_users):
        return Choice(NO_BLEND, None, None, [])
    search = _Search(phase, vectors, tables or all_tables(phase, progress))
    best, value = search.run(progress)
    return Choice(best, value, search.value(NO_BLEND), search.tried)


def blended(
    phase: Phase, vectors: VectorScorer, blend: Blend, progress: Progress = QUIET, tables: Tables | None = None
) -> Scorer:
    """The scorer of a phase: the vectors, and the table unless its weight is 0."""
    table = fit_table(phase, vectors, blend, progress, tables)
    if table is None:
        return vectors
    return BlendedScorer(vectors, table, histories(phase.interactions, phase.target, blend.half_life))


def fit_table(
    phase: Phase, vectors: VectorScorer, blend: Blend, progress: Progress = QUIET, tables: Tables | None = None
) -> ItemTable | None:
    """The table learnt from the rows of `phase`, its weight in units of the vectors' scores."""
    if not blend.weight or not phase.config.blend.neighbours:
        return None
    return _Search(phase, vectors, tables or _tables(phase, [blend.ridge], progress)).table(blend)


def _tables(phase: Phase, ridges: Sequence[float], progress: Progress) -> Tables:
    pairs = phase.interactions.matrix((phase.target,))
    return dict(zip(ridges, item_tables(pairs, phase.config.blend.neighbours, ridges, progress), strict=True))


class _Search:
    """Values of blends on one phase; what they share is kept from one to the next."""

    def __init__(self, phase: Phase, vectors: VectorScorer, tables: Tables) -> None:
        self.phase, self.vectors, self.tables = phase, vectors, tables
        self.tried: list[dict[str, Any]] = []
        self.histories = lru_cache(2)(lambda half_life: histories(phase.interactions, phase.target, half_life))
        self.value = lru_cache(None)(self._value)

    def run(self, progress: Progress) -> tuple[Blend, float]:
        best = Blend()
        for name, options in progress.track(self._grid(), "blending", len(self._grid())):
            best = self._best(best, name, options)
        best = self._best(best, "weight", [best.weight, *(factor * best.weight for factor in _REFINED)])
        return best, self.value(best)

    def _best(self, blend: Blend, name: str, options: Sequence[float | None]) -> Blend:
        """The best of `options` for one coordinate; the earlier one among equals."""
        return max((blend.model_copy(update={name: option}) for option in options), key=self.value)

    def _grid(self) -> Sequence[tuple[str, tuple[float | None, ...]]]:
        timed = self.phase.interactions.time is not None
        return [one for one in _GRID if timed or one[0] != "half_life"]

    def _value(self, blend: Blend) -> float:
        scorer = self.vectors if not blend.weight else self._scorer(blend)
        value = self.phase.ndcg(scorer, self._judges)
        self.tried.append({**blend.model_dump(), "value": value})
        return value

    def _scorer(self, blend: Blend) -> Scorer:
        return BlendedScorer(self.vectors, self.table(blend), self.histories(blend.half_life))

    def table(self, blend: Blend) -> ItemTable:
        table, taken = self.tables[blend.ridge], self.histories(blend.half_life)
        sample = _evenly(np.flatnonzero(np.diff(taken.indptr)).astype(np.int32), _SPREAD_USERS)
        plain = ItemTable(table, 1.0, blend.half_life)
        lent = _spread_of_rows(plain.lend(taken[sample]))
        scale = _spread(self.vectors, sample) / lent if lent > 0 else 0.0
        return ItemTable(table, blend.weight * scale, blend.half_life)

    @property
    def _judges(self) -> NDArray[np.int32]:
        return _evenly(self.phase.held_out_users, _JUDGES)


def _evenly(users: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """At most `count` of them, spread evenly: no draw, so the same for every blend."""
    if len(users) <= count:
        return users
    return users[np.arange(count) * len(users) // count]


def _spread(vectors: VectorScorer, users: NDArray[np.int32]) -> float:
    """Mean standard deviation of a user's scores over the items, from the covariance of the item vectors."""
    covariance = np.atleast_2d(np.cov(vectors.item_vectors.astype(np.float64), rowvar=False, bias=True))
    chosen = vectors.user_vectors[users].astype(np.float64)
    return float(np.sqrt(np.maximum(np.einsum("nd,de,ne->n", chosen, covariance, chosen), 0.0)).mean())


def _spread_of_rows(matrix: sparse.csr_matrix) -> float:
    """Mean standard deviation of rows, zeros included."""
    squares = np.asarray(matrix.multiply(matrix).mean(axis=1)).ravel()
    means = np.asarray(matrix.mean(axis=1)).ravel()
    return float(np.sqrt(np.maximum(squares - means**2, 0.0)).mean())

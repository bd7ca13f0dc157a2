"""What is added to trained vectors in one phase, put together from the weights of a blend.

Items of the history speak for others through an item–item table and a low-pass; an item that its
user met under another behaviour (viewed, and did not buy) gains by how often that leads to the
target; and one that was taken of late gains in everybody's lists.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
from scipy import sparse

from recsys.closed_form.conversion import conversion
from recsys.core.arrays import Float32Array
from recsys.core.history import WeightedHistories, user_histories
from recsys.core.progress import QUIET, Progress
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.evaluate.metrics import evenly
from recsys.phases.phase import Phase
from recsys.scores.ingredients import Blend, Ingredients, ingredients
from recsys.scores.trained_vectors import TrainedVectors, VectorScaling
from recsys.scores.trend import freshness, trending
from recsys.search.exact import VectorScorer

_SPREAD_USERS = 2_000
_OF_TABLE = ("ridge", "side", "heard", "fresh_days")
_OF_TABLE_SCORES = (*_OF_TABLE, "half_life")
_OF_LOW_PASS = ("rank", "heard", "half_life")


class Additions:
    """What blends add in one phase; what they share is kept from one to the next.

    vectors: by scaling, those that scores are added to; rows of `sample` must be right. sample: users
    by whom the spread of scores is measured.
    """

    def __init__(
        self, phase: Phase, made: Ingredients, vectors: Callable[[VectorScaling], VectorScorer]
    ) -> None:
        self.phase, self.made, self.vectors = phase, made, vectors
        taken = phase.interactions.matrix((phase.target,))
        self.sample = evenly(np.flatnonzero(np.diff(taken.indptr)).astype(np.int32), _SPREAD_USERS)
        self.spread = lru_cache(None)(self._spread_of_vectors)
        self.spread_of_table = lru_cache(None)(self._spread_of_table)
        self.spread_of_low_pass = lru_cache(None)(self._spread_of_low_pass)
        self.user_histories = user_histories(phase.interactions)
        self.histories = lru_cache(2)(self._histories)
        self.trend = lru_cache(None)(partial(trending, phase.interactions, phase.target))
        self.freshness = lru_cache(None)(partial(freshness, phase.interactions, phase.target))
        self.table = lru_cache(2)(self._table)
        self.odds = lru_cache(None)(lambda behavior: conversion(made.met[behavior], taken))

    def scorer(self, blend: Blend) -> VectorScorer | BlendedScorer:
        """Vectors scaled as a blend says, and what it adds."""
        vectors = self.vectors(blend.scaling)
        return (
            vectors if blend.empty else BlendedScorer(vectors, self.scores(blend), self.past(blend))
        )

    def scores(self, blend: Blend) -> HistoryScores:
        """What a blend adds, in units of the scores of its vectors."""
        spread, plain = self.spread(blend.scaling), self._plain(blend)
        of_table = self.spread_of_table(_alone(blend, _OF_TABLE_SCORES)) if plain.table.nnz else 0.0
        of_low_pass = (
            self.spread_of_low_pass(_alone(blend, _OF_LOW_PASS)) if plain.back.shape[1] else 0.0
        )
        return HistoryScores(
            plain.table * np.float32(_ratio(blend.table * spread, of_table)),
            plain.into * np.float32(_ratio(blend.low_pass * spread, of_low_pass)),
            np.hstack([plain.back, self._trend(blend.trend_days, blend.trend * spread)])
            if blend.trend
            else plain.back,
            blend.half_life,
            {
                name: self._gain(name, weight * spread, blend.met_power)
                for name, weight in blend.met
                if name in self.made.met
            },
            dict.fromkeys(self.made.met, blend.heard) if blend.heard else {},
        )

    def past(self, blend: Blend) -> WeightedHistories:
        """What users did, as a blend weighs it."""
        return WeightedHistories(self.histories(blend.half_life, blend.heard), self.made.met)

    def _histories(self, half_life: float | None, heard: float) -> sparse.csr_matrix:
        weights = dict.fromkeys(self.made.met, heard) if heard else {}
        weights = {self.phase.target: 1.0, **weights}
        return self.user_histories.item_weights(weights, half_life)

    def _plain(self, blend: Blend) -> HistoryScores:
        """Table and low-pass before their weights; empty where a weight is 0."""
        items, rank = len(self.made.back), blend.rank if blend.low_pass else 0
        none = sparse.csr_matrix((items, items), dtype=np.float32)
        table = self.table(_alone(blend, _OF_TABLE)) if blend.table and self.made.tables else none
        return HistoryScores(table, self.made.into[:, :rank], self.made.back[:, :rank])

    def _spread_of_vectors(self, scaling: VectorScaling) -> float:
        vectors = self.vectors(scaling)
        return _spread(vectors.user_vectors[self.sample], vectors.item_vectors)

    def _table(self, alone: Blend) -> sparse.csr_matrix:
        assert self.made.tables is not None
        table, days = self.made.tables.of(alone), alone.fresh_days
        return table if days is None else (table @ sparse.diags(self.freshness(days))).tocsr()

    def _spread_of_table(self, alone: Blend) -> float:
        return _spread_of_rows(self._plain(alone).sparse_scores(self._past_of_sample(alone)))

    def _spread_of_low_pass(self, alone: Blend) -> float:
        plain = self._plain(alone.model_copy(update={"table": 0.0, "low_pass": 1.0}))
        return _spread(plain.queries(self._past_of_sample(alone).items), plain.back)

    def _past_of_sample(self, blend: Blend) -> WeightedHistories:
        return WeightedHistories(self.histories(blend.half_life, blend.heard)[self.sample], {})

    def _trend(self, days: float, wanted: float) -> Float32Array:
        """(items, 1) what was taken of late, of that standard deviation."""
        found = self.trend(days)
        return found[:, None] * np.float32(_ratio(wanted, float(found.std(dtype=np.float64))))

    def _gain(self, behavior: str, wanted: float, power: float) -> Float32Array:
        """(items,) what meeting an item under `behavior` adds: `wanted` on the mean over the pairs
        met.
        """
        met = self.made.met[behavior]
        odds = self.odds(behavior) ** power
        of_pairs = float(odds[met.indices].mean(dtype=np.float64))
        return np.asarray(odds * _ratio(wanted, of_pairs), np.float32)


def fit_history(
    phase: Phase,
    vectors: VectorScorer,
    blend: Blend,
    progress: Progress = QUIET,
    made: Ingredients | None = None,
) -> HistoryScores | None:
    """What histories add in `phase`, weighed in units of the vectors' scores; None when nothing.

    vectors: scaled as the blend says (`TrainedVectors.embeddings_of`).
    """
    if blend.empty:
        return None
    return Additions(phase, made or ingredients(phase, blend, progress), lambda _: vectors).scores(
        blend
    )


def with_history(
    phase: Phase, vectors: VectorScorer, added: HistoryScores | None
) -> VectorScorer | BlendedScorer:
    """The scorer of a phase: the vectors, and what histories add."""
    if added is None:
        return vectors
    histories = user_histories(phase.interactions)
    return BlendedScorer(vectors, added, added.weighted(histories, phase.target))


def blended(
    phase: Phase,
    vectors: VectorScorer,
    blend: Blend,
    progress: Progress = QUIET,
    made: Ingredients | None = None,
) -> VectorScorer | BlendedScorer:
    """`with_history` of a `fit_history`."""
    return with_history(phase, vectors, fit_history(phase, vectors, blend, progress, made))


def blended_scaled(
    phase: Phase,
    trained: TrainedVectors,
    blend: Blend,
    progress: Progress = QUIET,
    made: Ingredients | None = None,
) -> VectorScorer | BlendedScorer:
    """`blended` with vectors scaled as the blend says."""
    found = trained.embeddings_of(blend.scaling)
    return blended(phase, VectorScorer(found.users, found.items), blend, progress, made)


def _alone(blend: Blend, names: Sequence[str]) -> Blend:
    """A blend as far as its coordinates of these names go: what is kept for one part is kept by
    these.
    """
    return Blend(**{name: getattr(blend, name) for name in names})


def _ratio(wanted: float, found: float) -> float:
    return wanted / found if found > 0 else 0.0


def _spread(queries: Float32Array, items: Float32Array) -> float:
    """Mean standard deviation of a query's scores over the items, from the covariance of the item
    vectors.
    """
    if not items.shape[1]:
        return 0.0
    covariance = np.atleast_2d(np.cov(items.astype(np.float64), rowvar=False, bias=True))
    chosen = queries.astype(np.float64)
    return float(
        np.sqrt(np.maximum(np.einsum("nd,nd->n", chosen @ covariance, chosen), 0.0)).mean()
    )


def _spread_of_rows(matrix: sparse.csr_matrix) -> float:
    """Mean standard deviation of rows, zeros included."""
    squares = np.asarray(matrix.multiply(matrix).mean(axis=1)).ravel()
    means = np.asarray(matrix.mean(axis=1)).ravel()
    return float(np.sqrt(np.maximum(squares - means**2, 0.0)).mean())

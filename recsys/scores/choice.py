"""How a blend is chosen: on what is held out, one coordinate after the other."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.progress import QUIET, Progress
from recsys.phases.phase import Phase
from recsys.scores.additions import FittedTerms, fit_terms
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.judged_blends import JudgedBlends, judging_users
from recsys.scores.last_results import LastResults
from recsys.scores.search import Search
from recsys.scores.term import VectorSource
from recsys.scores.trained_vectors import AS_TRAINED, TrainedVectors, VectorScaling
from recsys.search.exact import VectorScorer


class Choice(NamedTuple):
    """What validation chose.

    blend: the simplest within noise of the best of those tried.
    value: NDCG of the blend on the validation users looked at; None when nothing was tried.
    alone: NDCG of the vectors alone.
    tried: documents of all blends tried with their "value", in order.
    """

    blend: Blend
    value: float | None
    alone: float | None
    tried: list[dict[str, Any]]


def choose_blend(
    phase: Phase,
    vectors: VectorScorer | TrainedVectors,
    progress: Progress = QUIET,
    terms: FittedTerms | None = None,
) -> Choice:
    """The blend that does best on what is held out from `phase`.

    Args:
        phase: judged by its held-out users.
        vectors: trained ones can be scaled where the configuration lets them; those of a scorer
            stay as they are.
        progress: told of the search.
        terms: `fit_terms(phase)`, which several models can share; fitted here when absent.
    """
    if not len(phase.judge.held_out_users):
        return Choice(NO_BLEND, None, None, [])
    terms = terms or fit_terms(phase, None, progress)
    users = judging_users(phase)
    source: VectorSource
    if isinstance(vectors, TrainedVectors):
        # Only the rows that are looked at are encoded anew.
        source = _ScaledVectors(vectors, np.union1d(users, terms.inputs.sample))
    else:
        source = _FixedVectors(vectors)
    moves = terms.moves(source)
    if not moves:
        return Choice(NO_BLEND, None, None, [])
    search = Search(JudgedBlends(phase, terms, source.scorer, users).values)
    chosen = search.best(moves, progress)
    tried = []
    for blend, values in search.values.results.items():
        tried.append({**blend.document(), "value": float(values.mean())})
    return Choice(chosen, search.value(chosen), search.value(NO_BLEND), tried)


@dataclass(frozen=True)
class _FixedVectors:
    """Vectors that stay as they are."""

    vectors: VectorScorer
    can_decay: bool = False
    can_stretch: bool = False

    def scorer(self, scaling: VectorScaling) -> VectorScorer:
        return self.vectors


class _ScaledVectors:
    """Trained vectors, with the rows of some users encoded anew."""

    def __init__(self, trained: TrainedVectors, users: Int32Array) -> None:
        self._trained = trained
        self._users = users
        self._encoded = LastResults(self._encode, size=2)
        self.can_decay = trained.can_decay
        self.can_stretch = trained.can_stretch

    def scorer(self, scaling: VectorScaling) -> VectorScorer:
        of_users = AS_TRAINED._replace(
            half_life_events=scaling.half_life_events, self_weight=scaling.self_weight
        )
        return VectorScorer(self._encoded(of_users), self._trained.items(scaling))

    def _encode(self, scaling: VectorScaling) -> Float32Array:
        return self._trained.users(self._users, scaling)

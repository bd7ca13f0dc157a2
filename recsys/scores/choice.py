"""How a blend is chosen: on what is held out, one coordinate after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.distinct import distinct
from recsys.core.noise import Difference, difference
from recsys.core.progress import QUIET, Progress
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.metrics import PerUser
from recsys.phases.phase import Phase
from recsys.scores.additions import FittedTerms, fit_terms
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.judged_blends import JudgedBlends, judging_users
from recsys.scores.last_results import LastResults
from recsys.scores.rivals import POPULARITY, Comparison, Rival, comparisons, try_rivals
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
    best: NDCG of the best of those tried.
    behind: difference of the best over the blend; its error is None where too few users differ.
    over_vectors: the same of the blend over the vectors alone.
    comparisons: of the blend with tuned baselines.
    users: how many were looked at.
    """

    blend: Blend
    value: float | None
    alone: float | None
    tried: list[dict[str, Any]]
    best: float | None = None
    behind: Difference | None = None
    over_vectors: Difference | None = None
    comparisons: Sequence[Comparison] = ()
    users: int = 0


def choose_blend(
    phase: Phase,
    vectors: VectorScorer | TrainedVectors,
    progress: Progress = QUIET,
    terms: FittedTerms | None = None,
    rivals: Sequence[Rival] = (),
) -> Choice:
    """The blend that does best on what is held out from `phase`, the simplest among equals.

    Args:
        phase: judged by its held-out users.
        vectors: trained ones can be scaled where the configuration lets them; those of a scorer
            stay as they are.
        progress: told of the search.
        terms: `fit_terms(phase)`, which several models can share; fitted here when absent.
        rivals: tuned baselines that what is chosen has to stand beside; popularity always does,
            unless the configuration leaves it out.
    """
    if not len(phase.judge.held_out_users):
        return Choice(NO_BLEND, None, None, [])
    terms = terms or fit_terms(phase, None, progress)
    users = judging_users(phase)
    source: VectorSource
    if isinstance(vectors, TrainedVectors):
        # Only the rows that are looked at are encoded anew.
        source = _ScaledVectors(vectors, distinct(users, terms.inputs.sample))
    else:
        source = _FixedVectors(vectors)
    moves = terms.moves(source)
    if not rivals and phase.config.blend.popularity:
        rivals = [POPULARITY]
    if not moves and not rivals:
        return Choice(NO_BLEND, None, None, [])
    search = Search(JudgedBlends(phase, terms, source.scorer, users).values)
    values = _values_of_lists(phase, users, rivals)
    best = try_rivals(search, search.explore(moves, progress), rivals, values)
    return _told(search, search.decide(best), rivals, values)


def _told(
    search: Search, chosen: Blend, rivals: Sequence[Rival], values: Mapping[str, PerUser]
) -> Choice:
    """What was chosen, and beside what; arguments as of `comparisons`."""
    results = search.values.results
    tried = []
    for blend, of_users in results.items():
        tried.append({**blend.document(), "value": float(of_users.mean())})
    best = search.largest(list(results))
    return Choice(
        chosen,
        search.value(chosen),
        search.value(NO_BLEND),
        tried,
        best=search.value(best),
        behind=difference(results[best], results[chosen]),
        over_vectors=difference(results[chosen], results[NO_BLEND]),
        comparisons=comparisons(search, chosen, rivals, values),
        users=len(results[chosen]),
    )


def _values_of_lists(
    phase: Phase, users: Int32Array, rivals: Sequence[Rival]
) -> dict[str, PerUser]:
    """By name, what the lists of baselines are worth by user."""
    rows = np.searchsorted(phase.judge.held_out_users, users)
    k = phase.config.train.metric_k
    values = {}
    for rival in rivals:
        if rival.lists is not None:
            lists = rival.lists[rows]
            values[rival.name] = deciding_per_user(lists, users, phase.judge.held_out_matrix, k)
    return values


@dataclass(frozen=True)
class _FixedVectors:
    """Vectors that stay as they are."""

    vectors: VectorScorer
    can_decay: bool = False
    can_stretch: bool = False

    def scorer(self, scaling: VectorScaling) -> VectorScorer:
        if scaling.weight:
            return self.vectors
        no_users = np.zeros_like(self.vectors.user_vectors)
        return VectorScorer(no_users, self.vectors.item_vectors)


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
            half_life_events=scaling.half_life_events,
            self_weight=scaling.self_weight,
            weight=scaling.weight,
        )
        return VectorScorer(self._encoded(of_users), self._trained.items(scaling))

    def _encode(self, scaling: VectorScaling) -> Float32Array:
        return self._trained.users(self._users, scaling)

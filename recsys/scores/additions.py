"""What terms add to the vectors of one phase, in the weights of a blend."""

from collections.abc import Callable
from typing import Any

from recsys.core.history import WeightedHistories
from recsys.core.progress import QUIET, Progress
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.phases.data import PhaseData
from recsys.scores.addition import Addition, combined
from recsys.scores.blend import Blend
from recsys.scores.inputs import TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.registry import all_terms
from recsys.scores.spread import spread_of_products
from recsys.scores.term import Move, Term, VectorSource
from recsys.scores.trained_vectors import TrainedVectors, VectorScaling
from recsys.search.exact import VectorScorer


class FittedTerms:
    """The terms of a score on the rows of one phase; several models can share them.

    inputs: what all terms read.
    terms: in their order.
    """

    def __init__(self, inputs: TermInputs, terms: list[Term[Any]]) -> None:
        self.inputs = inputs
        self.terms = terms

    def moves(self, vectors: VectorSource) -> list[Move[Any]]:
        """The steps of a search, of all terms; none where nothing could be chosen."""
        moves = []
        for term in self.terms:
            moves.extend(term.moves(vectors))
        return moves

    def added(self, blend: Blend, unit: float) -> HistoryScores:
        """What a blend adds; unit: spread of the scores of its vectors."""
        weights = blend.history_weights
        additions: list[Addition] = []
        for term, settings in zip(self.terms, blend.settings, strict=True):
            if settings.adds:
                additions.append(term.addition(settings, weights, unit))
        behaviors = list(self.inputs.auxiliary)
        return combined(additions, self.inputs.num_items, weights, behaviors)

    def histories(self, blend: Blend) -> WeightedHistories:
        """Of all users, as a blend weighs them."""
        return self.inputs.histories(blend.history_weights)


def fit_terms(
    data: PhaseData, blend: Blend | None = None, progress: Progress = QUIET
) -> FittedTerms:
    """The terms of a phase, ready for every blend of the search, or for `blend` alone.

    Each is fitted when it is first asked for.
    """
    inputs = TermInputs(data, progress)
    terms: list[Term[Any]] = []
    for position, term in enumerate(all_terms()):
        chosen = None if blend is None else blend.settings[position]
        terms.append(term(inputs, chosen))
    return FittedTerms(inputs, terms)


class UnitScores:
    """Scores of blends, in the units of the vectors that they are added to.

    terms: of the phase.
    vectors: scaled as asked for; the rows of the users in `terms.inputs.sample` must be right.
    """

    def __init__(
        self, terms: FittedTerms, vectors: Callable[[VectorScaling], VectorScorer]
    ) -> None:
        self.terms = terms
        self.vectors = LastResults(vectors, size=2)
        self.unit = LastResults(self._unit)

    def scorer(self, blend: Blend) -> VectorScorer | BlendedScorer:
        """The vectors scaled as a blend says, and what it adds."""
        vectors = self.vectors(blend.scaling)
        if blend.empty:
            return vectors
        return BlendedScorer(vectors, self.added(blend), self.terms.histories(blend))

    def added(self, blend: Blend) -> HistoryScores:
        """What a blend adds to its vectors."""
        return self.terms.added(blend, self.unit(blend.scaling))

    def _unit(self, scaling: VectorScaling) -> float:
        """Mean standard deviation of the vectors' scores over the items; 1 where they say nothing."""
        if not scaling.weight:
            return 1.0
        vectors = self.vectors(scaling)
        sample = vectors.user_vectors[self.terms.inputs.sample]
        return spread_of_products(sample, vectors.item_vectors) or 1.0


def fit_history(
    data: PhaseData,
    vectors: VectorScorer,
    blend: Blend,
    progress: Progress = QUIET,
    terms: FittedTerms | None = None,
) -> HistoryScores | None:
    """What a blend adds to the vectors of a phase; None when nothing.

    Args:
        data: of the phase.
        vectors: scaled as the blend says (`TrainedVectors.embeddings_of`).
        blend: the weights.
        progress: told of what takes long.
        terms: `fit_terms` of the phase for this blend or for all; fitted here when absent.
    """
    if blend.empty:
        return None
    terms = terms or fit_terms(data, blend, progress)
    return UnitScores(terms, lambda scaling: vectors).added(blend)


def with_history(
    data: PhaseData, vectors: VectorScorer, added: HistoryScores | None
) -> VectorScorer | BlendedScorer:
    """The scorer of a phase: the vectors, and what histories add."""
    if added is None:
        return vectors
    histories = added.weighted(data.histories, data.target)
    return BlendedScorer(vectors, added, histories)


def blended(
    data: PhaseData,
    vectors: VectorScorer,
    blend: Blend,
    progress: Progress = QUIET,
    terms: FittedTerms | None = None,
) -> VectorScorer | BlendedScorer:
    """`with_history` of a `fit_history`."""
    return with_history(data, vectors, fit_history(data, vectors, blend, progress, terms))


def blended_scaled(
    data: PhaseData,
    trained: TrainedVectors,
    blend: Blend,
    progress: Progress = QUIET,
    terms: FittedTerms | None = None,
) -> VectorScorer | BlendedScorer:
    """`blended` with trained vectors scaled as the blend says."""
    embeddings = trained.embeddings_of(blend.scaling)
    return blended(data, VectorScorer(embeddings.users, embeddings.items), blend, progress, terms)

"""What a term of a score is: one class with its settings, fit, scores, search grid and words.

A score is the inner product of trained vectors plus what terms add. Every module of
`recsys.scores.terms` holds one term; being there registers it (`recsys.scores.registry`).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from recsys.scores.addition import Addition
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.trained_vectors import VectorScaling
from recsys.search.exact import VectorScorer


class TermSettings(BaseModel):
    """What a search chooses for one term. The defaults leave the score as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def adds(self) -> bool:
        """Whether something is added to the inner products of the vectors."""
        return False

    def scaled(self, scaling: VectorScaling) -> VectorScaling:
        """What is made of the trained vectors; a term that leaves them alone returns `scaling`."""
        return scaling

    def weighed(self, weights: HistoryWeights) -> HistoryWeights:
        """How items of a history weigh; a term that leaves that alone returns `weights`."""
        return weights

    def explain(self) -> dict[str, float]:
        """What the term brings to scores, in words, with its weight; nothing where it is left out."""
        return {}

    def changed(self, **changes: Any) -> Self:
        """The settings with other values for some of them."""
        return self.model_copy(update=changes)


S = TypeVar("S", bound=TermSettings)


class Stage(IntEnum):
    """The steps of a search, in order; within a stage terms follow each other by `Term.order`."""

    VECTORS = 1
    """Changes of the vectors alone; what a term finds is kept only where it is clearly better."""
    START = 2
    """Usual settings from which the search goes on."""
    AUXILIARY = 3
    """What users did beside the target."""
    WEIGHT = 4
    """The weight of a term whose fork comes next."""
    FORK = 5
    """A second way beside the first; both are followed to the end."""
    GRID = 6
    """One setting after the other, each with the others where they stand."""
    USERS_AGAIN = 7
    """User vectors, now that something is added to them."""
    EVERYBODY = 8
    """What all lists get alike."""
    ITEMS_AGAIN = 9
    """Item vectors, now that something is added to them."""
    REFINE = 10
    """Finer weights around those chosen."""


@dataclass(frozen=True)
class Move(Generic[S]):
    """A step of the search: settings of one term that are compared, the earlier one among equals.

    stage: when it is taken.
    kind: whose settings it changes.
    options: from the settings so far, those to compare; they stay as they are where it gives none.
    keeps: whether the settings so far are compared too, before the options.
    climbs: whether the step is repeated from the best of them until that stays the same.
    """

    stage: Stage
    kind: type[S]
    options: Callable[[S], Sequence[S]]
    keeps: bool = False
    climbs: bool = False


def grid(stage: Stage, kind: type[S], keeps: bool = False, **values: Sequence[Any]) -> Move[S]:
    """A move over all combinations of values.

    Args:
        stage: when it is taken.
        kind: whose settings it changes.
        keeps: whether the settings so far are compared too.
        **values: by the name of a setting, what it is tried at.
    """

    def options(settings: S) -> list[S]:
        changed = []
        for combination in itertools.product(*values.values()):
            changes = dict(zip(values, combination, strict=True))
            changed.append(settings.changed(**changes))
        return changed

    return Move(stage, kind, options, keeps)


_FINER = (1.0, 0.0, 0.5, 0.75, 1.5, 2.0)


def finer_weights(weight: float) -> list[float]:
    """Weights around one that was chosen, that one first and 0 among them."""
    return [weight * multiple for multiple in _FINER]


class VectorSource(Protocol):
    """Vectors that a search may scale."""

    @property
    def can_decay(self) -> bool:
        """Whether users can lean on late events."""
        ...

    @property
    def can_stretch(self) -> bool:
        """Whether items can have other lengths."""
        ...

    def scorer(self, scaling: VectorScaling) -> VectorScorer:
        """The vectors scaled as asked for."""
        ...


class Term(Generic[S]):
    """One term of a score in one phase.

    name: of its settings in a blend.
    settings: class of its settings.
    order: place among the terms, the smallest first.
    """

    name: ClassVar[str]
    settings: ClassVar[type[TermSettings]]
    order: ClassVar[int] = 100

    def __init__(self, inputs: TermInputs, chosen: S | None = None) -> None:
        """`chosen`: the only settings that will be asked for; None for all those of a search."""
        self.inputs = inputs
        self.chosen = chosen

    def moves(self, vectors: VectorSource) -> list[Move[S]]:
        """The steps of the search that concern this term; none where the log has nothing for it."""
        return []

    def addition(self, settings: S, weights: HistoryWeights, unit: float) -> Addition:
        """What the term adds to scores.

        Args:
            settings: of this term; they add something.
            weights: how items of a history weigh.
            unit: mean standard deviation of the vectors' scores over the items, which weights are
                counted in.
        """
        return Addition()

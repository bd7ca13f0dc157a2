"""What a term of a score is: one class with its settings, fit, scores, search grid and words.

A score is the inner product of trained vectors plus what terms add. Every module of
`recsys.scores.terms` holds one term; being there registers it (`recsys.scores.registry`).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from recsys.core.ladder import Ladder
from recsys.scores.addition import Addition
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.trained_vectors import VectorScaling
from recsys.search.exact import VectorScorer


class TermSettings(BaseModel):
    """What a search chooses for one term. The defaults leave the score as it is.

    without_default: settings whose default stands for nothing that could be computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    without_default: ClassVar[tuple[str, ...]] = ()

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

    @property
    def counts(self) -> bool:
        """Whether the score is another than with the defaults."""
        return self != type(self)()

    @property
    def parts(self) -> int:
        """How many parts of a score these settings stand for."""
        return int(self.counts)

    @property
    def departures(self) -> list[str]:
        """Names of the settings that differ from their defaults; none where nothing counts."""
        if not self.counts:
            return []
        values = self.model_dump()
        defaults = type(self)().model_dump()
        return [name for name in values if values[name] != defaults[name]]

    @property
    def extremity(self) -> float:
        """How unusual the settings are: 0 for those that hold on most logs."""
        return 0.0

    def simpler(self) -> list[Self]:
        """With each setting that differs at its default, and all of them at once."""
        if not self.departures:
            return []
        defaults = type(self)()
        options = [defaults]
        for name in self.departures:
            option = self.changed(**{name: getattr(defaults, name)})
            if option.counts and name not in self.without_default:
                options.append(option)
        return options

    def changed(self, **changes: Any) -> Self:
        """The settings with other values for some of them."""
        return self.model_copy(update=changes)


class WeightedSettings(TermSettings):
    """Of a term whose scores are multiplied by a weight; with 0 the other settings do not count.

    weight: of its scores, in standard deviations of the vectors' scores over the items.
    """

    weight: float = 0.0

    @property
    def adds(self) -> bool:
        return bool(self.weight)

    @property
    def counts(self) -> bool:
        return self.adds


S = TypeVar("S", bound=TermSettings)
W = TypeVar("W", bound=WeightedSettings)


class Stage(IntEnum):
    """The steps of a search, in order; within a stage terms follow each other by `Term.order`."""

    VECTORS = 1
    """Changes of the vectors alone."""
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
    options: from the settings so far, those to compare; they stay as they are where it gives none,
        or none that gains.
    forced: whether the best option is taken though it may not gain: later steps start from there.
    climbs: whether the step is repeated from the best of them until that stays the same.
    ladders: by the name of a setting, how it goes on past the ends of what the options hold.
    """

    stage: Stage
    kind: type[S]
    options: Callable[[S], Sequence[S]]
    forced: bool = False
    climbs: bool = False
    ladders: Mapping[str, Ladder] = field(default_factory=dict)

    def further(self, settings: S, name: str) -> S | None:
        """Past the end of one ladder; None where the settings are not at an end."""
        value = self.ladders[name].beyond(getattr(settings, name))
        return None if value is None else settings.changed(**{name: value})


def grid(
    stage: Stage, kind: type[S], forced: bool = False, **values: Sequence[Any] | Ladder
) -> Move[S]:
    """A move over all combinations of values.

    Args:
        stage: when it is taken.
        kind: whose settings it changes.
        forced: whether the best is taken though it may not gain.
        **values: by the name of a setting, what it is tried at; a ladder goes on past its ends.
    """
    ladders = {}
    tried: dict[str, Sequence[Any]] = {}
    for name, value in values.items():
        if isinstance(value, Ladder):
            ladders[name] = value
            tried[name] = value.values
        else:
            tried[name] = value

    def options(settings: S) -> list[S]:
        changed = []
        for combination in itertools.product(*tried.values()):
            changes = dict(zip(tried, combination, strict=True))
            changed.append(settings.changed(**changes))
        return changed

    return Move(stage, kind, options, forced, ladders=ladders)


_FINER = (1.0, 0.0, 0.5, 0.75, 1.5, 2.0)


def finer_weights(weight: float) -> list[float]:
    """Weights around one that was chosen, that one first and 0 among them."""
    return [weight * multiple for multiple in _FINER]


def refined(kind: type[W]) -> Move[W]:
    """A move over finer weights of one term, around the one that was chosen."""

    def options(settings: W) -> list[W]:
        return [settings.changed(weight=weight) for weight in finer_weights(settings.weight)]

    return Move(Stage.REFINE, kind, options)


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

"""Items that a user viewed, say, and did not buy gain by how often that leads to the target."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import field_serializer, field_validator

from recsys.closed_form.conversion import conversion
from recsys.core.arrays import Float32Array
from recsys.scores.addition import Addition
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor
from recsys.scores.term import Move, Stage, Term, TermSettings, VectorSource, finer_weights

WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
POWERS = (1.0, 0.5, 0.25)


class AuxiliarySettings(TermSettings):
    """What auxiliary behaviours add to the items themselves.

    weights: by behaviour, the mean gain over the pairs of users and items under it, in standard
        deviations of the vectors' scores over the items; an object in JSON.
    power: what an item gains goes with this power of its `conversion`.
    """

    weights: tuple[tuple[str, float], ...] = ()
    power: float = POWERS[0]

    @field_validator("weights", mode="before")
    @classmethod
    def _from_object(cls, weights: Any) -> Any:
        return tuple(weights.items()) if isinstance(weights, Mapping) else weights

    @field_serializer("weights")
    def _to_object(self, weights: tuple[tuple[str, float], ...]) -> dict[str, float]:
        return dict(weights)

    @property
    def adds(self) -> bool:
        return bool(self.weights)

    @property
    def counts(self) -> bool:
        return self.adds

    def explain(self) -> dict[str, float]:
        return {f"gain of items under {behavior}": weight for behavior, weight in self.weights}

    def weight_of(self, behavior: str) -> float:
        """Of one behaviour; 0 where it is left out."""
        return dict(self.weights).get(behavior, 0.0)

    def weighing(self, behavior: str, weight: float) -> "AuxiliarySettings":
        """With another weight for one behaviour; 0 leaves it out."""
        weights = dict(self.weights)
        weights[behavior] = weight
        if not weight:
            del weights[behavior]
        return self.changed(weights=tuple(weights.items()))


class AuxiliaryBehaviors(Term[AuxiliarySettings]):
    """Adds to items that are open to a user, and that the user has under another behaviour."""

    name = "auxiliary_behaviors"
    settings = AuxiliarySettings
    order = 30

    def __init__(self, inputs: TermInputs, chosen: AuxiliarySettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._conversions = LastResults(self._conversion)

    def moves(self, vectors: VectorSource) -> list[Move[AuxiliarySettings]]:
        weights, finer = [], []
        for behavior in self.inputs.auxiliary:
            # Hidden items are in no list, whatever they gain.
            if behavior not in self.inputs.data.seen_behaviors:
                weights.append(_weights(behavior))
                finer.append(_finer(behavior))
        powers = Move(Stage.AUXILIARY, AuxiliarySettings, _powers)
        return [*weights, powers, *finer] if weights else []

    def addition(
        self, settings: AuxiliarySettings, weights: HistoryWeights, unit: float
    ) -> Addition:
        gains = {}
        for behavior, weight in settings.weights:
            if behavior in self.inputs.auxiliary:
                gains[behavior] = self._gain(behavior, weight * unit, settings.power)
        return Addition(gains=gains)

    def _conversion(self, behavior: str) -> Float32Array:
        return conversion(self.inputs.auxiliary[behavior], self.inputs.pairs)

    def _gain(self, behavior: str, mean_gain: float, power: float) -> Float32Array:
        """(items,) what items gain under a behaviour: `mean_gain` on the mean over its pairs."""
        odds = self._conversions(behavior) ** power
        odds_of_pairs = odds[self.inputs.auxiliary[behavior].indices]
        mean_odds = float(odds_of_pairs.mean(dtype=np.float64))
        return np.asarray(odds * factor(mean_gain, mean_odds), np.float32)


def _weights(behavior: str) -> Move[AuxiliarySettings]:
    """The weight of one behaviour."""

    def options(settings: AuxiliarySettings) -> list[AuxiliarySettings]:
        return [settings.weighing(behavior, weight) for weight in WEIGHTS]

    return Move(Stage.AUXILIARY, AuxiliarySettings, options)


def _finer(behavior: str) -> Move[AuxiliarySettings]:
    """Weights around that of one behaviour, where it has one."""

    def options(settings: AuxiliarySettings) -> list[AuxiliarySettings]:
        weight = settings.weight_of(behavior)
        if not weight:
            return []
        return [settings.weighing(behavior, finer) for finer in finer_weights(weight)]

    return Move(Stage.REFINE, AuxiliarySettings, options)


def _powers(settings: AuxiliarySettings) -> list[AuxiliarySettings]:
    if not settings.weights:
        return []
    return [settings.changed(power=power) for power in POWERS]

"""How a score is put together: the settings of every term."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from recsys.core.errors import DataError, nearest
from recsys.scores.inputs import NO_WEIGHTS, HistoryWeights
from recsys.scores.registry import all_terms
from recsys.scores.term import TermSettings
from recsys.scores.trained_vectors import AS_TRAINED, VectorScaling

S = TypeVar("S", bound=TermSettings)

_FLAT = {
    "recent": ("trained_vectors", "half_life_events"),
    "own": ("trained_vectors", "self_weight"),
    "length": ("popularity", "length_power"),
    "popularity": ("popularity", "popularity_power"),
    "table": ("item_item", "weight"),
    "ridge": ("item_item", "ridge"),
    "side": ("item_item", "attribute_weight"),
    "fresh_days": ("item_item", "half_life_days"),
    "half_life": ("history", "half_life_events"),
    "heard": ("history", "auxiliary_weight"),
    "low_pass": ("low_pass", "weight"),
    "rank": ("low_pass", "rank"),
    "met": ("auxiliary_behaviors", "weights"),
    "met_power": ("auxiliary_behaviors", "power"),
    "trend": ("trend", "weight"),
    "trend_days": ("trend", "half_life_days"),
}
"""Names before terms had settings of their own; results and run folders of 0.1 have them."""
_FLAT_TABLE_WEIGHT = 0.2


@dataclass(frozen=True)
class Blend:
    """The settings of every term, in the order of the terms.

    In JSON an object by term: {"item_item": {"weight": 0.2, "ridge": 15.0, …}, "trend": {…}, …}.
    """

    settings: tuple[TermSettings, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """From plain values; a term that is not named leaves the score as it is.

        Raises DataError for a term or a setting that there is not.
        """
        is_flat = any(not isinstance(value, Mapping) for value in document.values())
        by_term = _from_flat(document) if is_flat else document
        known = [term.name for term in all_terms()]
        for name in by_term:
            if name not in known:
                hint = nearest(name, known) or f"The terms are {known}"
                raise DataError(f"a blend names the term {name!r}, which there is not", hint)
        settings = []
        for term in all_terms():
            try:
                settings.append(term.settings.model_validate(by_term.get(term.name, {})))
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(str(key) for key in first["loc"])
                raise DataError(
                    f"a blend has {term.name}.{field} = {first['input']!r}: {first['msg']}",
                    f"The settings of {term.name} are {list(term.settings.model_fields)}",
                ) from None
        return cls(tuple(settings))

    @classmethod
    def of_terms(cls, **settings: Mapping[str, Any]) -> Self:
        """`read` with a keyword for each term: Blend.of_terms(trend={"weight": 1.0})."""
        return cls.read(settings)

    def document(self) -> dict[str, dict[str, Any]]:
        """Plain values; `read` is the inverse."""
        by_term = {}
        for term, settings in zip(all_terms(), self.settings, strict=True):
            by_term[term.name] = settings.model_dump(mode="json")
        return by_term

    def of(self, kind: type[S]) -> S:
        """The settings of one term."""
        for settings in self.settings:
            if isinstance(settings, kind):
                return settings
        raise KeyError(kind.__name__)

    def with_settings(self, changed: TermSettings) -> Self:
        """With other settings for the term that these belong to."""
        settings = []
        for present in self.settings:
            settings.append(changed if type(present) is type(changed) else present)
        return replace(self, settings=tuple(settings))

    @property
    def empty(self) -> bool:
        """Whether nothing is added to the inner products of the vectors."""
        return not any(settings.adds for settings in self.settings)

    @property
    def scaling(self) -> VectorScaling:
        """What is made of the trained vectors."""
        scaling = AS_TRAINED
        for settings in self.settings:
            scaling = settings.scaled(scaling)
        return scaling

    @property
    def history_weights(self) -> HistoryWeights:
        """How items of a history weigh."""
        weights = NO_WEIGHTS
        for settings in self.settings:
            weights = settings.weighed(weights)
        return weights

    @property
    def complexity(self) -> tuple[int, int, float]:
        """Parts that a score is made of, settings that differ from the vectors as trained, and how
        extreme these are.
        """
        num_parts = 0
        num_settings = 0
        extremity = 0.0
        for settings in self.settings:
            num_parts += settings.parts
            num_settings += len(settings.departures)
            extremity += settings.extremity
        return num_parts, num_settings, extremity

    def simpler(self) -> list[Self]:
        """Without each of its departures in turn; something is left that tells items apart."""
        blends = []
        for settings in self.settings:
            for option in settings.simpler():
                blend = self.with_settings(option)
                if blend.scaling.weight or not blend.empty:
                    blends.append(blend)
        return blends

    def explain(self) -> dict[str, float]:
        """What is added and scaled, in words, with its weight."""
        words: dict[str, float] = {}
        for settings in self.settings:
            words |= settings.explain()
        return words


def _from_flat(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings by term from the names of 0.1, where the table was in unless it had weight 0."""
    by_term: dict[str, dict[str, Any]] = {"item_item": {"weight": _FLAT_TABLE_WEIGHT}}
    for name, value in document.items():
        if name not in _FLAT:
            raise DataError(
                f"a blend has {name!r}, which there is not",
                nearest(name, list(_FLAT)) or f"Its terms are {[t.name for t in all_terms()]}",
            )
        term, field = _FLAT[name]
        by_term.setdefault(term, {})[field] = value
    return by_term


NO_BLEND = Blend.read({})
"""The vectors alone, as trained."""

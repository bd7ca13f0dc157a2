"""What a search may try: the values of configuration keys, checked before anything runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_origin

import numpy as np
from pydantic import BaseModel

from recsys.core.config import RunConfig, ValuesConfig, build_config
from recsys.core.errors import ConfigError, nearest
from recsys.fitting.known_names import require_known_names
from recsys.phases.phase import Phase
from recsys.train.losses import loss_named

_JUDGING = ("data", "clean", "split", "evaluate", "index", "tune", "graph.target", "train.metric_k")
_RUNNING = (
    "name",
    "out",
    "seed",
    "threads",
    "refit",
    "train.max_minutes",
    "train.max_memory_gb",
    "train.warm_start",
)


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included. whole: whole numbers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def value(self, drawn: Any) -> Any:
        """Three significant figures are as many as validation can tell apart."""
        return int(drawn) if self.whole else min(max(float(f"{drawn:.3g}"), self.low), self.high)

    def beside(self, drawn: Any, draw: np.random.Generator) -> Any:
        """Half way from a value to anywhere in the range, a whole number one up or down; anywhere
        from None.
        """
        if drawn is not None and self.whole:
            return int(
                draw.choice([one for one in (drawn - 1, drawn + 1) if self.holds(one)] or [drawn])
            )
        scale, back = (np.log, np.exp) if self.log else (float, float)
        found = draw.uniform(scale(self.low), scale(self.high))
        found = back(found if drawn is None else (scale(drawn) + found) / 2)
        return round(found) if self.whole else float(np.clip(found, self.low, self.high))


@dataclass(frozen=True)
class Choices:
    """One of several values, each by its JSON text: lists and None are values too."""

    labels: tuple[str, ...]

    @staticmethod
    def of(*values: Any) -> "Choices":
        return Choices(tuple(json.dumps(value, ensure_ascii=False) for value in values))

    def __str__(self) -> str:
        return ", ".join("none" if label == "null" else label for label in self.labels)

    def holds(self, value: Any) -> bool:
        return json.dumps(value, ensure_ascii=False) in self.labels

    def value(self, drawn: Any) -> Any:
        return json.loads(drawn)

    def beside(self, drawn: Any, draw: np.random.Generator) -> str:
        """Another choice; any from None."""
        return str(
            draw.choice([label for label in self.labels if label != drawn] or list(self.labels))
        )


Dimension = Range | Choices
Space = Mapping[str, Dimension]


def given_space(config: RunConfig) -> Space:
    """The space of `tune.space`; empty when there is none.

    Raises ConfigError for an unknown key, one that decides what is measured, and values that the
    key does not take.
    """
    space = {key: _dimension(key, values) for key, values in config.tune.space.items()}
    for key, dimension in space.items():
        ends = (
            (dimension.low, dimension.high)
            if isinstance(dimension, Range)
            else map(json.loads, dimension.labels)
        )
        for value in ends:
            with_values(config, {key: value})
    return space


def recipe(phase: Phase) -> Space:
    """The space of a configuration that names none: what decides most, as far as its model and log
    have it.
    """
    config = phase.config
    space: dict[str, Dimension] = {
        "train.lr": Range(1e-3, 2e-2, log=True),
        "model.layers": Range(1, 3, whole=True),
        "model.start_length": Range(0.05, 1.0, log=True),
        "train.user_dropout": Range(0.0, 0.4),
    }
    if loss_named(config.train.loss).temperature:
        space["train.temperature"] = Range(0.04, 0.4, log=True)
        space["train.positive_ratio"] = Range(0.9, 1.15)
        space["train.negative_sampling"] = Choices.of("uniform", "popularity")
    if config.blend.neighbours:
        space["blend.neighbours"] = Choices.of(
            *sorted({config.blend.neighbours, 50, 100, 200, 400})
        )
    if days := phase.interactions.days:
        given = config.graph.half_life_days
        lives = ("none", *(float(f"{days / part:.2g}") for part in (2, 8, 32)))
        space["graph.half_life_days"] = Choices.of(*dict.fromkeys((given, *lives)))
    return space


def value_at(config: RunConfig, key: str) -> Any:
    """The value of a dotted key; None within a table that does not hold it."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value.model_dump() if isinstance(value, BaseModel) else value


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The configuration with dotted keys set; keys that `config` left out stay left out. Raises
    ConfigError.
    """
    raw = config.model_dump(exclude_unset=True)
    for key, value in values.items():
        *sections, leaf = key.split(".")
        table = raw
        for section in sections:
            inner = table.get(section) or {}  # a section that may be absent is None
            table[section] = inner
            table = inner
        table[leaf] = value
    return require_known_names(build_config(raw))


def _dimension(key: str, values: ValuesConfig) -> Dimension:
    types = _types(key)
    low, high = values.low, values.high
    if low is None or high is None:
        absent = NoneType in types
        return Choices.of(
            *(None if value == "none" and absent else value for value in values.choices or ())
        )
    if not types & {int, float}:
        raise ConfigError(f"tune.space.{key}: the key takes no range", "Give choices = […]")
    whole = float not in types
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise ConfigError(
            f"tune.space.{key}: low = {low}, high = {high}, and the key takes whole numbers",
            "Round them",
        )
    return Range(low, high, values.log, whole)


def _types(key: str) -> set[Any]:
    """The types that a key takes. Raises ConfigError when it is unknown or no search may change it."""
    if any(key == closed or key.startswith(f"{closed}.") for closed in (*_JUDGING, *_RUNNING)):
        raise ConfigError(
            f"tune.space.{key}: a search may not change this key, its trials would not be comparable",
            "Search keys of graph, model and train",
        )
    known = dict(_leaves(RunConfig))
    table, _, entry = key.rpartition(".")
    annotation = known.get(key)
    if annotation is None and entry and get_origin(known.get(table)) is dict:
        annotation = get_args(known[table])[1]
    if annotation is None:
        hint = nearest(key, known) or "docs/configuration.md lists the keys"
        raise ConfigError(f"tune.space.{key}: unknown configuration key {key!r}", hint)
    return {annotation, *get_args(annotation)}


def _leaves(section: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a section and of those in it, with their types; a section that may be absent
    is a key too.
    """
    for name, field in section.model_fields.items():
        annotation = field.annotation
        inner = [
            one
            for one in (annotation, *get_args(annotation))
            if isinstance(one, type) and get_origin(one) is None
        ]
        sections = [one for one in inner if issubclass(one, BaseModel)]
        if get_origin(annotation) in (list, dict) or not sections:
            yield before + name, annotation
            continue
        if sections != [annotation]:
            yield before + name, annotation
        yield from _leaves(sections[0], f"{before}{name}.")

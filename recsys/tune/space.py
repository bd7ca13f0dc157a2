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
    "budget_minutes",
    "first",
    "train.max_minutes",
    "train.max_memory_gb",
    "train.refit_share",
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

    def extremes(self) -> list[Any]:
        """Values that a key must take for the whole range to be allowed."""
        return [self.low, self.high]

    def value(self, drawn: Any) -> Any:
        """Three significant figures are as many as validation can tell apart."""
        if self.whole:
            return int(drawn)
        rounded = float(f"{drawn:.3g}")
        # Rounding may step over an end of the range.
        return min(max(rounded, self.low), self.high)

    def beside(self, drawn: Any, draw: np.random.Generator) -> Any:
        """Half way from a value to anywhere in the range, a whole number one up or down; anywhere
        from None.
        """
        if drawn is not None and self.whole:
            neighbours = [value for value in (drawn - 1, drawn + 1) if self.holds(value)]
            return int(draw.choice(neighbours or [drawn]))
        # On the scale of the range, logarithms or the numbers themselves: half way from 0.001 to
        # 0.1 is 0.01 on the former.
        scale, back = (np.log, np.exp) if self.log else (float, float)
        scaled = draw.uniform(scale(self.low), scale(self.high))
        if drawn is not None:
            scaled = (scale(drawn) + scaled) / 2
        value = back(scaled)
        if self.whole:
            return round(value)
        return float(np.clip(value, self.low, self.high))


@dataclass(frozen=True)
class Choices:
    """One of several values, each by its JSON text: lists and None are values too."""

    labels: tuple[str, ...]

    @staticmethod
    def of(*values: Any) -> "Choices":
        labels = [json.dumps(value, ensure_ascii=False) for value in values]
        return Choices(tuple(labels))

    def __str__(self) -> str:
        return ", ".join("none" if label == "null" else label for label in self.labels)

    def holds(self, value: Any) -> bool:
        return json.dumps(value, ensure_ascii=False) in self.labels

    def extremes(self) -> list[Any]:
        """All values."""
        return [json.loads(label) for label in self.labels]

    def value(self, drawn: Any) -> Any:
        return json.loads(drawn)

    def beside(self, drawn: Any, draw: np.random.Generator) -> str:
        """Another choice; any from None."""
        others = [label for label in self.labels if label != drawn]
        return str(draw.choice(others or list(self.labels)))


Dimension = Range | Choices
Space = Mapping[str, Dimension]


def given_space(config: RunConfig) -> Space:
    """The space of `tune.space`; empty when there is none.

    Raises ConfigError for an unknown key, one that decides what is measured, and values that the
    key does not take.
    """
    space = {}
    for key, values in config.tune.space.items():
        dimension = _dimension(key, values)
        for value in dimension.extremes():
            with_values(config, {key: value})
        space[key] = dimension
    return space


def recipe(phase: Phase) -> Space:
    """The space of a configuration that names none: what decides most, as far as its model and log
    have it.
    """
    config = phase.config
    space: dict[str, Dimension] = {"train.lr": Range(1e-3, 2e-2, log=True)}
    if config.model.family == "history":
        space.update(_of_histories(config, phase))
    else:
        space.update(_of_graph(config))
    if config.blend.neighbours:
        neighbours = {config.blend.neighbours, 50, 100, 200, 400}
        space["blend.neighbours"] = Choices.of(*sorted(neighbours))
    days = phase.interactions.days
    if days:
        half_lives: list[Any] = [config.graph.half_life_days, "none"]
        for divisor in (2, 8, 32):
            half_lives.append(float(f"{days / divisor:.2g}"))
        space["graph.half_life_days"] = Choices.of(*dict.fromkeys(half_lives))
    return space


def _of_histories(config: RunConfig, phase: Phase) -> Space:
    """What decides most where users are attention over their histories."""
    space: dict[str, Dimension] = {
        "train.edge_dropout": Range(0.0, 0.5),
        "model.history": Choices.of(*sorted({config.model.history, 10, 20, 50, 100})),
        "model.user_table": Choices.of(False, True),
    }
    if phase.settled(config.model).reads_order and phase.interactions.time is not None:
        space["model.causal_block"] = Choices.of(False, True)
    if loss_named(config.train.loss).temperature:
        space["train.temperature"] = Range(0.04, 0.4, log=True)
        space["train.negatives"] = Choices.of(*sorted({config.train.negatives, 512, 2048, 4096}))
        lengths = [config.train.top_k, 0, 20, 50]
        space["train.top_k"] = Choices.of(*dict.fromkeys(lengths))
    return space


def _of_graph(config: RunConfig) -> Space:
    """What decides most where users are nodes with states of their own."""
    space: dict[str, Dimension] = {
        "model.layers": Range(1, 3, whole=True),
        "model.start_length": Range(0.05, 1.0, log=True),
        "train.user_dropout": Range(0.0, 0.4),
    }
    if loss_named(config.train.loss).temperature:
        space["train.temperature"] = Range(0.04, 0.4, log=True)
        space["train.positive_ratio"] = Range(0.9, 1.15)
        space["train.negative_sampling"] = Choices.of("uniform", "popularity")
    return space


def value_at(config: RunConfig, key: str) -> Any:
    """The value of a dotted key; None within a table that does not hold it."""
    value: Any = config
    for name in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        else:
            value = getattr(value, name, None)
    if isinstance(value, BaseModel):
        return value.model_dump()
    return value


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
        choices = []
        for value in values.choices or ():
            is_none = value == "none" and NoneType in types
            choices.append(None if is_none else value)
        return Choices.of(*choices)
    if not types & {int, float}:
        raise ConfigError(f"tune.space.{key}: the key takes no range", "Give choices = […]")
    # A key of integers alone; one that takes both is drawn as a float.
    whole = float not in types
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise ConfigError(
            f"tune.space.{key}: low = {low}, high = {high}, and the key takes whole numbers",
            "Round them",
        )
    return Range(low, high, values.log, whole)


def _types(key: str) -> set[Any]:
    """The types that a key takes. Raises ConfigError when it is unknown or no search may change it."""
    for closed in (*_JUDGING, *_RUNNING):
        if key == closed or key.startswith(f"{closed}."):
            raise ConfigError(
                f"tune.space.{key}: a search may not change this key, its trials would not be comparable",
                "Search keys of graph, model and train",
            )
    known = dict(_leaves(RunConfig))
    table, _, entry = key.rpartition(".")
    annotation = known.get(key)
    # A key within a table of free names, graph.behavior_weights.click say: the type of its values.
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
        section_type = _section_in(annotation)
        if section_type is not annotation:
            yield before + name, annotation
        if section_type is not None:
            yield from _leaves(section_type, f"{before}{name}.")


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a key holds, or may hold; None for other keys."""
    if get_origin(annotation) in (list, dict):
        return None
    for alternative in (annotation, *get_args(annotation)):
        is_class = isinstance(alternative, type) and get_origin(alternative) is None
        if is_class and issubclass(alternative, BaseModel):
            section: type[BaseModel] = alternative
            return section
    return None

"""A short look at a few settings of the loss before a training: those that the log decides."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any, Self

from recsys.core.arrays import FloatArray
from recsys.core.config import TrainConfig
from recsys.core.noise import CHOICE_ERRORS, difference
from recsys.core.progress import Progress

TEMPERATURES = (0.1, 0.2)
HORIZONS = (1, 20)
PROBED_PAIRS = 200_000
"""Pairs that each candidate is trained on, at most."""
_CLEAR = 1.005  # a candidate that gains less than this over the one before it is not worth a change

Run = Callable[[TrainConfig, int], FloatArray]
"""(configuration, steps) → validation values by user after so many steps from the start."""


@dataclass(frozen=True)
class Settings:
    """What `TrainConfig` may leave open (None), settled.

    temperature: of the softmax.
    top_k: K of SL@K, 0 for pairs that count alike.
    horizon: events that a pair may lie ahead of what is known.
    """

    temperature: float = TEMPERATURES[0]
    top_k: int = 0
    horizon: int = HORIZONS[0]

    @classmethod
    def of(cls, config: TrainConfig) -> Self:
        """Those of a configuration, with what everybody starts from where it leaves them open."""
        settings = {name: getattr(config, name) for name in _NAMES}
        return cls(**{name: value for name, value in settings.items() if value is not None})

    def kept_by(self, config: TrainConfig) -> "Settings":
        """The same, with the values that a configuration names in their place."""
        named = {name: getattr(config, name) for name in _NAMES}
        named = {name: value for name, value in named.items() if value is not None}
        return replace(self, **named)

    def applied(self, config: TrainConfig) -> TrainConfig:
        return config.model_copy(update=asdict(self))

    def document(self) -> dict[str, Any]:
        return asdict(self)


_NAMES = ("temperature", "top_k", "horizon")


def open_settings(config: TrainConfig, has_order: bool) -> dict[str, Sequence[float]]:
    """By name of a setting that the configuration leaves open, the values to try beside the first."""
    candidates: dict[str, Sequence[float]] = {
        "top_k": (config.metric_k,),
        "temperature": TEMPERATURES[1:],
        "horizon": HORIZONS[1:] if has_order else (),
    }
    return {
        name: values
        for name, values in candidates.items()
        if values and getattr(config, name) is None
    }


def probe(
    config: TrainConfig, has_order: bool, batch_size: int, steps: int, run: Run, progress: Progress
) -> Settings:
    """Settle what the configuration leaves open, one setting after the other, by short trainings.

    Args:
        config: of the training.
        has_order: whether events come in an order, for which horizons can be told apart.
        batch_size: pairs a step.
        steps: of an epoch; no candidate takes more.
        run: trains and judges.
        progress: told what was tried.
    """
    best = Settings.of(config)
    candidates = open_settings(config, has_order)
    if not candidates:
        return best
    short = min(steps, ceil(PROBED_PAIRS / batch_size))
    total = 1 + sum(len(values) for values in candidates.values())
    progress.say(f"probing {', '.join(candidates)}: {total} trainings of {short} steps")
    best_values = run(best.applied(config), short)
    for name, value in _flat(candidates):
        candidate = Settings(**{**best.document(), name: value})
        values = run(candidate.applied(config), short)
        if _is_better(values, best_values):
            best, best_values = candidate, values
    words = ", ".join(f"{name} {getattr(best, name):g}" for name in candidates)
    progress.say(f"probed: {words}: validation {best_values.mean():.4f}", **best.document())
    return best


def _is_better(values: FloatArray, others: FloatArray) -> bool:
    """Whether validation values by user are better than others beyond noise, and by enough."""
    is_clear = bool(values.mean() > _CLEAR * others.mean())
    return is_clear and difference(values, others).beyond(CHOICE_ERRORS)


def _flat(candidates: dict[str, Sequence[float]]) -> Iterator[tuple[str, float]]:
    for name, values in candidates.items():
        for value in values:
            yield name, value

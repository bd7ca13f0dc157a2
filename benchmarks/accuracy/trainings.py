"""Trainings that rows share: a row that differs from another only in what comes after training
takes its vectors.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recsys
from benchmarks.accuracy.meter import Meter
from pipelines.stages.embeddings import load_embeddings, save_embeddings
from recsys.core.artefacts import atomic_folder, read_json, text_sha256, write_json
from recsys.core.config import RunConfig
from recsys.core.encoder import Embeddings
from recsys.phases.phase import Phase
from recsys.train.loop import Trained

_LEARNT_BY = (
    "core/history.py",
    "graph/*.py",
    "model/*.py",
    "train/*.py",
    "closed_form/spectral.py",
)
_LEARNT_FROM = {"model", "train", "graph", "split", "clean", "seed", "threads"}
_FACTS = "training.json"

Fit = Callable[[], tuple[Trained, dict[str, Any]]]
"""Trains; returns what was trained and the facts to keep of it."""


@dataclass(frozen=True)
class Vectors:
    """What is left of a training. facts: epochs, the validation value, the mode, and the shared
    numbers.
    """

    embeddings: Embeddings
    facts: dict[str, Any]


def shared_training(
    cache: Path,
    phase: Phase,
    epochs: int | None,
    fit: Fit,
    meter: Meter,
    settled: Mapping[str, Any] | None = None,
    fresh: bool = False,
) -> Vectors:
    """The vectors of `fit`, from the cache when the same training, by the same code, left them
    there.

    Args:
        cache: where trainings are shared.
        phase: that is trained.
        epochs: of the training; None where validation chooses them.
        fit: trains.
        meter: of the row; it counts the training whether it was done now or for another row.
        settled: what the configuration leaves open, as validation settled it.
        fresh: train in any case.
    """
    path = cache / "trained" / _address(phase, epochs, settled)
    if not fresh and (path / _FACTS).exists():
        meter.add(read_json(path / _FACTS)["cost"])
    else:
        own = Meter()
        trained, facts = fit()
        shutil.rmtree(path, ignore_errors=True)
        with atomic_folder(path) as part:
            save_embeddings(trained.embeddings, part)
            write_json(part / _FACTS, {"facts": facts, "cost": own.cost()})
    return Vectors(load_embeddings(path), read_json(path / _FACTS)["facts"])


def training_settings(config: RunConfig) -> dict[str, Any]:
    """What of a configuration a training follows from: rows that agree in it share one."""
    return config.model_dump(mode="json", include=_LEARNT_FROM)


def _address(phase: Phase, epochs: int | None, settled: Mapping[str, Any] | None) -> str:
    settings = training_settings(phase.config)
    package = Path(recsys.__file__).parent
    code = [
        file.read_text(encoding="utf-8")
        for name in _LEARNT_BY
        for file in sorted(package.glob(name))
    ]
    learnt_with = [phase.name, epochs, settings, settled, text_sha256("".join(code))]
    return text_sha256(json.dumps(learnt_with, sort_keys=True))[:16]

"""Trainings that rows share: a row that differs from another only in what comes after training takes its vectors."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import recsys
from recsys.core.artefacts import atomic_file, text_sha256
from recsys.index.exact import VectorScorer
from recsys.phases import Phase
from recsys.train.loop import Trained

_LEARNT_BY = ("graph/*.py", "model/*.py", "train/*.py", "closed_form/spectral.py")
_LEARNT_FROM = {"model", "train", "graph", "split", "clean", "seed", "threads"}


Fit = Callable[[], tuple[Trained, dict[str, Any]]]
"""Trains; returns what was trained and the facts to keep of it."""


@dataclass(frozen=True)
class Vectors:
    """What is left of a training. facts: epochs, the validation value, the mode, and the shared numbers."""

    scorer: VectorScorer
    facts: dict[str, Any]


def shared_training(cache: Path, phase: Phase, epochs: int | None, fit: Fit, fresh: bool = False) -> Vectors:
    """The vectors of `fit`, from the cache when the same training, by the same code, left them there; `fresh`: never."""
    path = cache / "trained" / f"{_address(phase, epochs)}.npz"
    if fresh or not path.exists():
        trained, facts = fit()
        found = trained.embeddings
        with atomic_file(path) as part, part.open("wb") as file:
            np.savez(file, users=found.users, items=found.items, facts=np.array(json.dumps(facts)))
    with np.load(path) as file:
        return Vectors(VectorScorer(file["users"], file["items"]), json.loads(str(file["facts"])))


def _address(phase: Phase, epochs: int | None) -> str:
    settings = phase.config.model_dump(mode="json", include=_LEARNT_FROM)
    package = Path(recsys.__file__).parent
    code = [file.read_text(encoding="utf-8") for name in _LEARNT_BY for file in sorted(package.glob(name))]
    return text_sha256(json.dumps([phase.name, epochs, settings, text_sha256("".join(code))], sort_keys=True))[:16]

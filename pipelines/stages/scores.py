"""Ranked lists of one model for the held-out users of a phase, as files: what the report judges."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recsys.core.arrays import Int32Array
from recsys.core.artefacts import read_json, write_json

_FIRST = "first_stage.npy"
_CARD = ("name", "title", "params", "skipped", "facts")


@dataclass(frozen=True)
class Scored:
    """A model's lists on held-out rows.

    ranked: (held-out users of the phase, k) dense item ids; None when the model was skipped, with
    the reason, or when nothing is held out.
    """

    name: str
    title: str
    params: dict[str, Any] = field(default_factory=dict)
    skipped: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    ranked: Int32Array | None = None

    def save(self, folder: Path) -> None:
        write_json(folder / "card.json", {name: getattr(self, name) for name in _CARD})
        if self.ranked is not None:
            np.save(folder / "ranked.npy", self.ranked)

    @staticmethod
    def load(folder: Path) -> "Scored":
        lists = folder / "ranked.npy"
        return Scored(
            **read_json(folder / "card.json"), ranked=np.load(lists) if lists.exists() else None
        )


def save_first_stage(folder: Path, ranked: Int32Array) -> None:
    """The lists of the model before a second stage, beside those after it."""
    np.save(folder / _FIRST, ranked)


def first_stage_lists(folder: Path) -> Int32Array | None:
    """(held-out users, k) what a second stage was given; None where there is none."""
    lists = folder / _FIRST
    return np.load(lists) if lists.exists() else None

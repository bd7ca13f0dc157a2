"""How many users had each item. Files: popularity.npy, and popular.npy where recent users count more."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_array, save_array
from recsys.cold_items.new_items import NewItems
from recsys.core.arrays import Float32Array
from recsys.core.interactions import Interactions

ALL = "all"
"""Segment that counts a user once, whatever the behaviour."""
_FILE, _RECENT_FILE = "popularity.npy", "popular.npy"


@registered
@dataclass(frozen=True)
class Popularity:
    """Learnt from everybody: who is forgotten stays counted.

    segments: ALL, then the behaviours of the log.
    counts: (segments, items) users who had each item.
    recent: (items,) share of users by which visitors of whom nothing is known are answered, where
        recent ones count more; None for that of all.
    """

    segments: tuple[str, ...]
    counts: Float32Array
    recent: Float32Array | None = None

    reads: ClassVar[Kinds] = ()

    @classmethod
    def of(cls, interactions: Interactions, recent: Float32Array | None = None) -> Self:
        counts = [interactions.popularity()]
        for behavior in interactions.behaviors:
            counts.append(interactions.popularity(behavior))
        return cls((ALL, *interactions.behaviors), np.stack(counts), recent)

    def under(self, behavior: str) -> Float32Array:
        """(items,) users who had each item under one behaviour."""
        return np.asarray(self.counts[self.segments.index(behavior)])

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("counts of users of items", self.counts.shape[1], num_items)

    def save(self, folder: Path) -> Facts:
        save_array(folder / _FILE, self.counts)
        if self.recent is not None:
            save_array(folder / _RECENT_FILE, self.recent)
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        recent = None
        if (folder / _RECENT_FILE).exists():
            recent = load_array(folder / _RECENT_FILE)
        return cls((ALL, *facts["behaviors"]), load_array(folder / _FILE), recent)

    def append_items(self, new: NewItems, parts: Parts) -> "Popularity":
        """Nobody had them."""
        counts = np.pad(self.counts, ((0, 0), (0, len(new))))
        recent = self.recent
        if recent is not None:
            recent = np.pad(recent, (0, len(new)))
        return replace(self, counts=counts, recent=recent)

    def drop_user(self, user: ForgottenUser) -> Self:
        return self

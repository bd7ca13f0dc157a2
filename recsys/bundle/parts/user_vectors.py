"""Trained vectors of users. File: user_vectors.npy."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_array, save_array
from recsys.cold_items.new_items import NewItems
from recsys.core.arrays import Float32Array

_FILE = "user_vectors.npy"


@registered
@dataclass(frozen=True)
class UserVectors:
    """vectors: (users, d)."""

    vectors: Float32Array

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("user vectors", len(self.vectors), num_users)

    def save(self, folder: Path) -> Facts:
        save_array(folder / _FILE, self.vectors.astype(np.float32, copy=False))
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        return cls(load_array(folder / _FILE))

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> "UserVectors":
        return UserVectors(np.delete(self.vectors, user.row, axis=0))

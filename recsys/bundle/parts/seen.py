"""Which items each user had. Files: seen_<n>.*.npy, (users, items) of the n-th behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from scipy import sparse

from recsys.bundle.matrices import with_columns, without_row
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_matrix, save_matrix
from recsys.cold_items.new_items import NewItems
from recsys.core.interactions import Interactions


@registered
@dataclass(frozen=True)
class Seen:
    """What users did, whenever it was.

    target: the behaviour that is predicted.
    seen_behaviors: behaviours that hide an item from its user.
    items: by behaviour of the log, (users, items) with an entry for each pair.
    """

    target: str
    seen_behaviors: tuple[str, ...]
    items: Mapping[str, sparse.csr_matrix]

    reads: ClassVar[Kinds] = ()

    @classmethod
    def of(
        cls, interactions: Interactions, target: str, seen_behaviors: tuple[str, ...] = ()
    ) -> Self:
        """seen_behaviors: the target alone where none is named."""
        items = {name: interactions.matrix((name,)) for name in interactions.behaviors}
        return cls(target, tuple(seen_behaviors) or (target,), items)

    def check(self, num_users: int, num_items: int) -> None:
        for name, matrix in self.items.items():
            require_rows(f"rows of items under {name}", matrix.shape[0], num_users)

    def save(self, folder: Path) -> Facts:
        for number, matrix in enumerate(self.items.values()):
            save_matrix(folder, f"seen_{number}", matrix, weighted=False)
        return {
            "target": self.target,
            "seen_behaviors": list(self.seen_behaviors),
            "behaviors": list(self.items),
        }

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        items = {}
        for number, name in enumerate(facts["behaviors"]):
            items[name] = load_matrix(folder, f"seen_{number}", facts["num_items"], False)
        return cls(facts["target"], tuple(facts["seen_behaviors"]), items)

    def append_items(self, new: NewItems, parts: Parts) -> "Seen":
        items = {name: with_columns(matrix, len(new)) for name, matrix in self.items.items()}
        return replace(self, items=items)

    def drop_user(self, user: ForgottenUser) -> "Seen":
        items = {name: without_row(matrix, user.row) for name, matrix in self.items.items()}
        return replace(self, items=items)

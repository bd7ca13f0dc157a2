"""What is popular among users of one value of a column: for visitors of whom nothing else is known.

Files: segments.*.npy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.matrices import with_columns
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_matrix, save_matrix
from recsys.cold_items.new_items import NewItems
from recsys.core.arrays import Float32Array
from recsys.core.values import OWNER, VALUE, owner_values

_NAME = "segments"
_PRIOR_USERS = 10.0  # so many users count like everybody beside those of the segment


@registered
@dataclass(frozen=True)
class Segments:
    """Learnt from everybody: who is forgotten stays counted.

    column: of the user table.
    values: ascending.
    counts: (values, items) users of each value who had each item.
    sizes: users of each value. Where recent interactions count for more, so do users who had some.
    """

    column: str
    values: tuple[str, ...]
    counts: sparse.csr_matrix
    sizes: tuple[float, ...]

    reads: ClassVar[Kinds] = ()

    def shares(self, rows: Sequence[int], everybody: Float32Array) -> Float32Array:
        """(items,) share of the users of any of these values who had each item.

        Shrunk towards that of `everybody` (items,), as if ten of them were among the users.
        """
        rows = list(rows)
        users = np.asarray(self.counts[rows].sum(axis=0), np.float64).ravel()
        size = sum(self.sizes[row] for row in rows)
        # (users of the segment + 10 · share of everybody) / (size of the segment + 10)
        share = (users + _PRIOR_USERS * everybody) / (size + _PRIOR_USERS)
        return np.asarray(share, np.float32)

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("counts of items by segment", self.counts.shape[1], num_items)

    def save(self, folder: Path) -> Facts:
        save_matrix(folder, _NAME, self.counts, weighted=True)
        facts = {"column": self.column, "values": list(self.values), "sizes": list(self.sizes)}
        return {"user_segments": facts}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        if "user_segments" not in facts:
            return None
        named = facts["user_segments"]
        counts = load_matrix(folder, _NAME, facts["num_items"], True)
        return cls(named["column"], tuple(named["values"]), counts, tuple(named["sizes"]))

    def append_items(self, new: NewItems, parts: Parts) -> "Segments":
        return replace(self, counts=with_columns(self.counts, len(new)))

    def drop_user(self, user: ForgottenUser) -> Self:
        return self


def count_segments(column: pl.Series, pairs: sparse.csr_matrix, users: Float32Array) -> Segments:
    """The segments of one column.

    column: one value (or list of values) a user.
    pairs: (users, items) 1 for each pair, or what it counts.
    users: (users,) 1 for each user, or what they count.
    """
    rows = owner_values(column)
    values = rows[VALUE].unique().sort()
    # Sorted, the place of a value is found by search.
    segment = values.search_sorted(rows[VALUE]).to_numpy()
    user = rows[OWNER].to_numpy()
    ones = np.ones(len(rows), np.float32)
    # (values, users) 1 where a user has the value
    shape = (len(values), len(column))
    members = sparse.csr_matrix((ones, (segment, user)), shape=shape)
    # (values, users) @ (users, items)
    counts = (members @ pairs).tocsr().astype(np.float32)
    counts.sort_indices()
    sizes = (members @ users).tolist()
    return Segments(column.name, tuple(values), counts, tuple(sizes))

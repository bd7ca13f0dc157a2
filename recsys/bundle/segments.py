"""What is popular among users of one value of a column: for visitors of whom nothing else is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.storage import load_matrix, save_matrix
from recsys.core.arrays import Float32Array
from recsys.core.values import OWNER, VALUE, owner_values

_NAME = "segments"
_DOUBT = 10.0  # users: so many count like everybody beside those of the segment


@dataclass(frozen=True)
class Segments:
    """column: of the user table. values: ascending. counts: (values, items) users of each value who
    took each item.

    sizes: users of each value. Where what was taken of late counts for more, so does who took
    something of late.
    """

    column: str
    values: tuple[str, ...]
    counts: sparse.csr_matrix
    sizes: tuple[float, ...]

    def shares(self, places: Sequence[int], everybody: Float32Array) -> Float32Array:
        """(items,) share of the users of any of these values who took each item.

        Shrunk towards that of `everybody` (items,), as if ten of them were among the users.
        """
        took = np.asarray(self.counts[list(places)].sum(axis=0), np.float64).ravel()
        size = sum(self.sizes[place] for place in places)
        return np.asarray((took + _DOUBT * everybody) / (size + _DOUBT), np.float32)

    def facts(self) -> dict[str, Any]:
        """What bundle.json keeps."""
        return {"column": self.column, "values": list(self.values), "sizes": list(self.sizes)}

    def save(self, folder: Path) -> None:
        save_matrix(folder, _NAME, self.counts, weighted=True)

    @staticmethod
    def load(folder: Path, facts: Mapping[str, Any], num_items: int) -> "Segments":
        counts = load_matrix(folder, _NAME, num_items, True)
        return Segments(facts["column"], tuple(facts["values"]), counts, tuple(facts["sizes"]))


def count_segments(column: pl.Series, pairs: sparse.csr_matrix, users: Float32Array) -> Segments:
    """column: one value (or list of values) a user. pairs: (users, items) 1 for each pair, or what
    it counts. users: the same of each user.
    """
    rows = owner_values(column)
    values = rows[VALUE].unique().sort()
    place = values.search_sorted(rows[VALUE]).to_numpy()
    ones = np.ones(len(rows), np.float32)
    members = sparse.csr_matrix(
        (ones, (place, rows[OWNER].to_numpy())), shape=(len(values), len(column))
    )
    counts = (members @ pairs).tocsr().astype(np.float32)
    counts.sort_indices()
    return Segments(column.name, tuple(values), counts, tuple((members @ users).tolist()))

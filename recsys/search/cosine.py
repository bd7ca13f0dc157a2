"""Rows of a matrix that are like some of its rows: cosine, exact, without a second copy of the
matrix.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Int32Array
from recsys.core.ranking import Hits
from recsys.search.exact import excluded_lists, rank


@dataclass(frozen=True)
class CosineSearch:
    """vectors: (n, d) float32 and finite, mapped ones too; a row of zeros is like nothing."""

    vectors: Float32Array

    @cached_property
    def _shrink(self) -> Float32Array:
        """(n,) 1 / ‖v‖, 0 for a row of zeros."""
        norms = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors))
        return np.asarray(
            np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0), np.float32
        )

    def nearest(self, rows: Int32Array, k: int, allow: BoolArray | None = None) -> Hits:
        """The k nearest to each of `rows`, itself left out. allow: (n,) what may be named."""
        count = len(self.vectors)
        exclude = excluded_lists(list(rows[:, None]), count)
        cosines = _Cosines(
            self.vectors[rows] * self._shrink[rows, None], self.vectors, self._shrink
        )
        return rank(cosines, np.arange(len(rows), dtype=np.int32), min(k, count), exclude, allow)


@dataclass(frozen=True)
class _Cosines:
    queries: Float32Array
    vectors: Float32Array
    shrink: Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        products = self.queries[users] @ self.vectors.T
        products *= self.shrink
        return products

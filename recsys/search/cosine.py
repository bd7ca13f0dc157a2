"""Rows of a matrix that are like some of its rows: cosine, exact, without a second copy of the
matrix.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Int32Array
from recsys.core.ranking import Hits, Scorer
from recsys.search.exact import excluded_lists, rank


@dataclass(frozen=True)
class CosineSearch:
    """vectors: (n, d) float32 and finite, mapped ones too; a row of zeros is like nothing."""

    vectors: Float32Array

    @cached_property
    def _inverse_lengths(self) -> Float32Array:
        """(n,) 1 / ‖v‖, 0 for a row of zeros."""
        lengths = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors))
        inverse = np.zeros_like(lengths)
        np.divide(1.0, lengths, out=inverse, where=lengths > 0)
        return np.asarray(inverse, np.float32)

    def scorer(self, rows: Int32Array) -> Scorer:
        """Cosines of each of `rows` with every vector; its users are the places in `rows`."""
        directions = self.vectors[rows] * self._inverse_lengths[rows, None]
        return _Cosines(directions, self.vectors, self._inverse_lengths)

    def nearest(self, rows: Int32Array, k: int, allow: BoolArray | None = None) -> Hits:
        """The k nearest to each of `rows`, itself left out. allow: (n,) what may be named."""
        count = len(self.vectors)
        themselves = excluded_lists(list(rows[:, None]), count)
        queries = np.arange(len(rows), dtype=np.int32)
        return rank(self.scorer(rows), queries, min(k, count), themselves, allow)


@dataclass(frozen=True)
class _Cosines:
    """Cosine of each query with each vector.

    directions: (queries, d) of length 1.
    vectors: (n, d).
    inverse_lengths: (n,).
    """

    directions: Float32Array
    vectors: Float32Array
    inverse_lengths: Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        products = self.directions[users] @ self.vectors.T
        products *= self.inverse_lengths
        return products

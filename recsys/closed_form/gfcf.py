"""GF-CF: graph filtering for collaborative filtering, no training (Shen et al. 2021)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.closed_form.low_pass import low_pass
from recsys.closed_form.spectral import normalised
from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.interactions import Interactions


@dataclass(frozen=True)
class LowPassScorer:
    """score = r · P + (r · into) · back.

    rows: (users, items) train matrix. linear: sparse matrices whose product is P, (items, items).
    into: (items, rank), back: (rank, items).
    """

    rows: sparse.csr_matrix
    linear: tuple[sparse.csr_matrix, ...]
    into: Float32Array
    back: Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        rows = self.rows[users]
        filtered = rows
        for factor in self.linear:
            filtered = filtered @ factor
        scores: Float32Array = filtered.toarray()
        scores += (rows @ self.into) @ self.back
        return scores


def fit_gfcf(
    interactions: Interactions, target: str, settings: Sequence[tuple[int, float]], seed: int
) -> Iterator[LowPassScorer]:
    """One model for each (rank, weight), in order, from one SVD.

    score = r·P + weight · r·D_I^(−½) V Vᵀ D_I^(½), with P = R̃ᵀR̃, R̃ = D_U^(−½) R D_I^(−½), and V
    the `rank` largest right singular vectors of R̃, exact. The published setting is (256, 0.3).

    Args:
        interactions: of a phase.
        target: the behaviour to learn from and to predict.
        settings: (rank, weight) of each model.
        seed: of the SVD's first vector.
    """
    rows = interactions.matrix((target,))
    linear = _linear_filter(normalised(rows))
    largest_rank = max(rank for rank, _ in settings)
    into, back = low_pass(rows, largest_rank, seed)
    for rank, weight in settings:
        num_vectors = rank if weight else 0
        weighted_into = into[:, :num_vectors] * np.float32(weight)
        transposed_back = np.ascontiguousarray(back[:, :num_vectors].T)
        yield LowPassScorer(rows, linear, weighted_into, transposed_back)


def _linear_filter(adjacency: sparse.csr_matrix) -> tuple[sparse.csr_matrix, ...]:
    """Matrices whose product is P = R̃ᵀR̃ of R̃ (users, items), in float32.

    Where users are fewer than items P has far more entries than R̃: a history then goes through its
    two factors, by way of the users that share an item with it.
    """
    num_users, num_items = adjacency.shape
    transposed = adjacency.T.tocsr()
    factors = (transposed, adjacency) if num_users <= num_items else (transposed @ adjacency,)
    return tuple(factor.astype(np.float32) for factor in factors)

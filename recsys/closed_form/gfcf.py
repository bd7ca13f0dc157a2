"""GF-CF: graph filtering for collaborative filtering, no training (Shen et al. 2021)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.closed_form.spectral import normalised, truncated_svd
from recsys.core.interactions import Interactions


@dataclass(frozen=True)
class LowPassScorer:
    """score = r · filter + (r · into) · back.

    rows: (users, items) train matrix. filter: (items, items) sparse. into: (items, rank), back: (rank, items).
    """

    rows: sparse.csr_matrix
    filter: sparse.csr_matrix
    into: NDArray[np.float32]
    back: NDArray[np.float32]

    def score(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """(len(users), items) float32."""
        rows = self.rows[users]
        scores: NDArray[np.float32] = (rows @ self.filter).toarray()
        scores += (rows @ self.into) @ self.back
        return scores


def fit_gfcf(
    interactions: Interactions, target: str, settings: Sequence[tuple[int, float]], seed: int
) -> Iterator[LowPassScorer]:
    """One model for each (rank, weight), in order, from one SVD: r·P + weight · r·D_I^(−½) V Vᵀ D_I^(½).

    P = R̃ᵀR̃ with R̃ = D_U^(−½) R D_I^(−½), V its `rank` largest right singular vectors, exact. The published setting
    is (256, 0.3).
    """
    rows = interactions.matrix((target,))
    adjacency = normalised(rows)
    linear = (adjacency.T @ adjacency).tocsr().astype(np.float32)
    vectors = truncated_svd(adjacency, max(rank for rank, _ in settings), seed).right
    roots = np.sqrt(np.asarray(rows.sum(axis=0), dtype=np.float64).ravel())[:, None]
    inverse_roots = np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)
    for rank, weight in settings:
        kept = vectors[:, : rank if weight else 0]
        into = (inverse_roots * kept * weight).astype(np.float32)
        yield LowPassScorer(rows, linear, into, np.ascontiguousarray((roots * kept).T, np.float32))

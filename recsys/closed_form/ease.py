"""EASE: the linear autoencoder with a zero diagonal, in closed form (Steck 2019, eq. 8)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg, sparse

from recsys.closed_form.costs import DOUBLE_ITEMS
from recsys.closed_form.linear import LinearScorer
from recsys.core.arrays import Float32Array, FloatArray, Int32Array
from recsys.core.errors import MachineError
from recsys.core.interactions import Interactions
from recsys.core.ranking import Scorer


def fit_ease(
    interactions: Interactions, target: str, regularisations: Sequence[float]
) -> Iterator[Scorer]:
    """One model for each λ, in order: B = −P / diag(P) with a zero diagonal, P = (RᵀR + λI)^(−1).

    Inverts whichever Gram matrix is smaller, that of the items or that of the users; the scores are
    the same. Holds two such dense matrices at a time. Raises MachineError when Gram matrix and λ
    are not positive definite.
    """
    rows = interactions.matrix((target,))
    num_users, num_items = rows.shape
    if num_items <= num_users:
        gram = (rows.T @ rows).tocsr()
        for regularisation in regularisations:
            yield _by_items(rows, gram, regularisation)
    else:
        gram = (rows @ rows.T).tocsr()
        for regularisation in regularisations:
            yield _by_users(rows, gram, regularisation)


@dataclass(frozen=True)
class UserSideScorer:
    """EASE from the users' Gram matrix: score_uj = r_uj − (K R)_uj / P_jj, for K = (RRᵀ + λI)^(−1).

    It follows from R P = K R (push-through identity) and P_jj = (1 − r_jᵀ K r_j) / λ.
    rows: (users, items) train matrix R. kernel: (users, users) K. diagonal: (items,) P_jj.
    """

    rows: sparse.csr_matrix
    kernel: FloatArray
    diagonal: FloatArray

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        # (K R)_uj / P_jj
        smoothed = np.asarray(self.rows.T @ self.kernel[users].T).T
        explained = smoothed / self.diagonal
        history = self.rows[users].toarray()
        return np.asarray(history - explained, dtype=np.float32)


def _by_items(rows: sparse.csr_matrix, gram: sparse.csr_matrix, regularisation: float) -> Scorer:
    inverse = _inverse(gram, regularisation)
    # B_ij = −P_ij / P_jj, and 0 on the diagonal.
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    table = np.ascontiguousarray(weights, dtype=np.float32)
    return LinearScorer(rows, table)


def _by_users(rows: sparse.csr_matrix, gram: sparse.csr_matrix, regularisation: float) -> Scorer:
    kernel = _inverse(gram, regularisation)
    # P_jj = (1 − r_jᵀ K r_j) / λ
    diagonal = (1.0 - _quadratic_forms(rows, kernel)) / regularisation
    return UserSideScorer(rows, kernel, diagonal)


def _quadratic_forms(rows: sparse.csr_matrix, kernel: FloatArray) -> FloatArray:
    """(items,) r_jᵀ K r_j of every column, a column's entries at a time: never (users, items)
    dense.
    """
    columns = rows.tocsc()
    forms = np.zeros(columns.shape[1], kernel.dtype)
    for item, (first, last) in enumerate(pairwise(columns.indptr)):
        users = columns.indices[first:last]
        block = kernel[np.ix_(users, users)]
        forms[item] = block.sum(dtype=np.float64)
    return forms


def _inverse(gram: sparse.csr_matrix, regularisation: float) -> FloatArray:
    """(G + λI)^(−1) by Cholesky, in place: half the work of a general inverse."""
    precision = np.float64 if gram.shape[0] <= DOUBLE_ITEMS else np.float32
    matrix = gram.astype(precision).toarray(order="F")
    diagonal = np.diag_indices(len(matrix))
    matrix[diagonal] += regularisation

    factorise, invert = linalg.get_lapack_funcs(("potrf", "potri"), (matrix,))
    matrix, failed = factorise(matrix, lower=True, overwrite_a=True)
    if not failed:
        matrix, failed = invert(matrix, lower=True, overwrite_c=True)
    if failed:
        raise MachineError(
            "EASE: the Gram matrix and λ are not positive definite in this precision",
            "Use a larger λ",
        )
    # LAPACK fills the lower triangle only.
    for column in range(len(matrix)):
        below = matrix[column + 1 :, column]
        matrix[column, column + 1 :] = below
    return np.asarray(matrix)

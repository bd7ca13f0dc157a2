"""EASE: the linear autoencoder with a zero diagonal, in closed form (Steck 2019, eq. 8)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    fit = _by_items if rows.shape[1] <= rows.shape[0] else _by_users
    gram = (rows.T @ rows if fit is _by_items else rows @ rows.T).tocsr()
    for regularisation in regularisations:
        yield fit(rows, gram, regularisation)


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
        explained = np.asarray(self.rows.T @ self.kernel[users].T).T / self.diagonal
        return np.asarray(self.rows[users].toarray() - explained, dtype=np.float32)


def _by_items(rows: sparse.csr_matrix, gram: sparse.csr_matrix, regularisation: float) -> Scorer:
    inverse = _inverse(gram, regularisation)
    weights = inverse / -np.diag(inverse)  # column j by −P_jj
    np.fill_diagonal(weights, 0.0)
    return LinearScorer(rows, np.ascontiguousarray(weights, dtype=np.float32))


def _by_users(rows: sparse.csr_matrix, gram: sparse.csr_matrix, regularisation: float) -> Scorer:
    kernel = _inverse(gram, regularisation)
    return UserSideScorer(rows, kernel, (1.0 - _quadratic_forms(rows, kernel)) / regularisation)


def _quadratic_forms(rows: sparse.csr_matrix, kernel: FloatArray) -> FloatArray:
    """(items,) r_jᵀ K r_j of every column, a column's entries at a time: never (users, items)
    dense.
    """
    columns = rows.tocsc()
    bounds = zip(columns.indptr[:-1], columns.indptr[1:], strict=True)
    holders = (columns.indices[first:last] for first, last in bounds)
    return np.array(
        [kernel[np.ix_(users, users)].sum(dtype=np.float64) for users in holders], kernel.dtype
    )


def _inverse(gram: sparse.csr_matrix, regularisation: float) -> FloatArray:
    """(G + λI)^(−1) by Cholesky, in place: half the work of a general inverse."""
    precision = np.float64 if gram.shape[0] <= DOUBLE_ITEMS else np.float32
    matrix = gram.astype(precision).toarray(order="F")
    matrix[np.diag_indices(len(matrix))] += regularisation
    factor, invert = linalg.get_lapack_funcs(("potrf", "potri"), (matrix,))
    matrix, failed = factor(matrix, lower=True, overwrite_a=True)
    if not failed:
        matrix, failed = invert(matrix, lower=True, overwrite_c=True)
    if failed:
        raise MachineError(
            "EASE: the Gram matrix and λ are not positive definite in this precision",
            "Use a larger λ",
        )
    for column in range(len(matrix)):  # LAPACK fills the lower triangle only
        matrix[column, column + 1 :] = matrix[column + 1 :, column]
    return np.asarray(matrix)

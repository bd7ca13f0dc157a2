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
    num_users = np.diff(columns.indptr)

    # K_uu of the only user: large catalogues have many such items.
    only_user = columns.indices[columns.indptr[:-1][num_users == 1]]
    forms[num_users == 1] = kernel[only_user, only_user]
    for item in np.flatnonzero(num_users > 1):
        users = columns.indices[columns.indptr[item] : columns.indptr[item + 1]]
        block = kernel[np.ix_(users, users)]
        forms[item] = block.sum(dtype=np.float64)
    return forms


def _inverse(gram: sparse.csr_matrix, regularisation: float) -> FloatArray:
    """(G + λI)^(−1), in float32 for large matrices, and in float64 where that does not suffice."""
    if gram.shape[0] > DOUBLE_ITEMS:
        inverse = _cholesky_inverse(gram.astype(np.float32), regularisation)
        if inverse is not None:
            return inverse
    inverse = _cholesky_inverse(gram.astype(np.float64), regularisation)
    if inverse is None:
        raise MachineError(
            f"EASE: the Gram matrix with λ = {regularisation:g} is not positive definite",
            "Use a larger λ",
        )
    return inverse


def _cholesky_inverse(gram: sparse.csr_matrix, regularisation: float) -> FloatArray | None:
    """(G + λI)^(−1) in place: half the work of a general inverse. None where it is not positive
    definite in the precision of G.
    """
    matrix = gram.toarray(order="F")
    diagonal = np.diag_indices(len(matrix))
    matrix[diagonal] += regularisation

    factorise, invert = linalg.get_lapack_funcs(("potrf", "potri"), (matrix,))
    matrix, failed = factorise(matrix, lower=True, overwrite_a=True)
    if not failed:
        matrix, failed = invert(matrix, lower=True, overwrite_c=True)
    if failed:
        return None
    # LAPACK fills the lower triangle only.
    for column in range(len(matrix)):
        below = matrix[column + 1 :, column]
        matrix[column, column + 1 :] = below
    return np.asarray(matrix)

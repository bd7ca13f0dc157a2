"""EASE: the linear autoencoder with a zero diagonal, in closed form (Steck 2019, eq. 8)."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from recsys.closed_form.costs import DOUBLE_ITEMS
from recsys.closed_form.linear import LinearScorer
from recsys.core.errors import MachineError
from recsys.core.interactions import Interactions


def fit_ease(interactions: Interactions, target: str, regularisations: Sequence[float]) -> Iterator[LinearScorer]:
    """One model for each λ, in order: B = −P / diag(P) with a zero diagonal, P = (RᵀR + λI)^(−1).

    Holds two dense (items, items) matrices at a time. Raises MachineError when Gram matrix and λ are not positive definite.
    """
    rows = interactions.matrix((target,))
    gram = (rows.T @ rows).tocsr()
    for regularisation in regularisations:
        yield LinearScorer(rows, _weights(gram, regularisation))


def _weights(gram: sparse.csr_matrix, regularisation: float) -> NDArray[np.float32]:
    items = gram.shape[0]
    dense = gram.astype(np.float64 if items <= DOUBLE_ITEMS else np.float32).toarray(order="F")
    dense[np.diag_indices(items)] += regularisation
    inverse = _inverse(dense)
    weights = inverse / -np.diag(inverse)  # column j by −P_jj
    np.fill_diagonal(weights, 0.0)
    return np.ascontiguousarray(weights, dtype=np.float32)


def _inverse(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """Inverse of a symmetric positive definite matrix, in its place: half the work of a general one."""
    factor, invert = linalg.get_lapack_funcs(("potrf", "potri"), (matrix,))
    matrix, failed = factor(matrix, lower=True, overwrite_a=True)
    if not failed:
        matrix, failed = invert(matrix, lower=True, overwrite_c=True)
    if failed:
        raise MachineError("EASE: RᵀR + λI is not positive definite in this precision", "Use a larger λ")
    for column in range(len(matrix)):  # LAPACK fills the lower triangle only
        matrix[column, column + 1 :] = matrix[column + 1 :, column]
    return matrix

"""The low-pass of a log: what the strongest singular vectors keep of a history (Shen et al. 2021,
GF-CF, eq. 12).
"""

import numpy as np
from scipy import sparse

from recsys.closed_form.spectral import normalised, truncated_svd
from recsys.core.arrays import Float32Array


def low_pass(
    matrix: sparse.csr_matrix, rank: int, seed: int = 0
) -> tuple[Float32Array, Float32Array]:
    """(into, back), (items, rank) each: r · into · backᵀ = r D_I^(−½) V Vᵀ D_I^(½) of a history r.

    V: the `rank` right singular vectors of D_U^(−½) R D_I^(−½), strongest first; fewer where R has
    fewer, none for rank 0. matrix: R, (users, items) 0/1.
    """
    items = matrix.shape[1]
    if not rank or min(matrix.shape) < 2:
        return np.zeros((items, 0), np.float32), np.zeros((items, 0), np.float32)
    vectors = truncated_svd(normalised(matrix), rank, seed).right
    roots = np.sqrt(np.asarray(matrix.sum(axis=0), np.float64).ravel())[:, None]
    inverse = np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)
    return (inverse * vectors).astype(np.float32), (roots * vectors).astype(np.float32)

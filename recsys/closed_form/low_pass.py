"""The low-pass of a log: what the strongest singular vectors keep of a history (Shen et al. 2021,
GF-CF, eq. 12).
"""

import numpy as np
from scipy import sparse

from recsys.closed_form.spectral import normalised
from recsys.closed_form.svd import truncated_svd
from recsys.core.arrays import Float32Array
from recsys.core.progress import QUIET, Progress


def low_pass(
    matrix: sparse.csr_matrix, rank: int, seed: int = 0, progress: Progress = QUIET
) -> tuple[Float32Array, Float32Array]:
    """(into, back), (items, rank) each: r · into · backᵀ = r D_I^(−½) V Vᵀ D_I^(½) of a history r.

    V: the `rank` right singular vectors of D_U^(−½) R D_I^(−½), strongest first; fewer where R has
    fewer, none for rank 0.

    Args:
        matrix: R, (users, items) 0/1.
        rank: vectors that are wanted.
        seed: of the SVD.
        progress: is told how far the SVD is.
    """
    num_items = matrix.shape[1]
    if rank == 0 or min(matrix.shape) < 2:
        empty = np.zeros((num_items, 0), np.float32)
        return empty, empty.copy()
    vectors = truncated_svd(normalised(matrix), rank, seed, progress).right

    # D_I^(½) and D_I^(−½); items without users stay at zero.
    degrees = np.asarray(matrix.sum(axis=0), np.float64).reshape(-1, 1)
    roots = np.sqrt(degrees)
    inverse_roots = np.zeros_like(roots)
    np.divide(1.0, roots, out=inverse_roots, where=roots > 0)

    into = inverse_roots * vectors
    back = roots * vectors
    return into.astype(np.float32), back.astype(np.float32)

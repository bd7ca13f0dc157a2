"""EASE as a low rank: one inner product, so that an index can look it up."""

import numpy as np

from recsys.closed_form.svd import Factors
from recsys.core.arrays import Float32Array


def ease_factors(factors: Factors, regularisation: float) -> tuple[Float32Array, Float32Array]:
    """(into, back), (items, rank) each: r · into · backᵀ ranks what a user does not have as EASE does.

    With R = U S Vᵀ and F = S² (S² + λI)^(−1), the inverse of EASE is λP = I − V F Vᵀ, and its weights
    off the diagonal are B_ij = −P_ij / P_jj = (V F Vᵀ)_ij / (1 − (V F Vᵀ)_jj). Exact with all
    singular vectors; with fewer, those are left out that λ damps most.

    factors: of R. regularisation: λ.
    """
    vectors = factors.right
    # F = S² / (S² + λ)
    squares = factors.values**2
    shrinkage = squares / (squares + regularisation)
    # λ P_jj = 1 − Σ_k V_jk² F_k
    diagonal = 1.0 - (vectors**2) @ shrinkage
    diagonal = np.maximum(diagonal, np.finfo(np.float32).eps)

    into = vectors * np.sqrt(shrinkage)
    back = into / diagonal[:, None]
    return into.astype(np.float32), back.astype(np.float32)

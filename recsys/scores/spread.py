"""How much scores differ between items: the unit in which the weights of terms are counted."""

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, FloatArray


def spread_of_products(queries: Float32Array, items: Float32Array) -> float:
    """Mean standard deviation over the items of each query's inner products with them.

    queries: (n, d). items: (items, d).
    """
    if not items.shape[1]:
        return 0.0
    # The variance of ⟨q, v⟩ over the items v is qᵀ C q, C being their covariance.
    vectors = items.astype(np.float64)
    covariance = np.atleast_2d(np.cov(vectors, rowvar=False, bias=True))
    queries = queries.astype(np.float64)
    variances = np.einsum("nd,nd->n", queries @ covariance, queries)
    # Rounding can leave a variance of 0 below 0.
    deviations = np.sqrt(np.maximum(variances, 0.0))
    return float(deviations.mean())


def spread_of_rows(scores: sparse.csr_matrix) -> float:
    """Mean standard deviation of rows, zeros included."""
    squared = scores.multiply(scores)
    mean_squares = np.asarray(squared.mean(axis=1)).ravel()
    means = np.asarray(scores.mean(axis=1)).ravel()
    # Var x = E x² − (E x)²
    variances = np.maximum(mean_squares - means**2, 0.0)
    deviations = np.sqrt(variances)
    return float(deviations.mean())


def logarithm_of_counts(counts: FloatArray) -> Float32Array:
    """(items,) ln(1 + 10 n / mean n): the head of a long tail stands out, and does not drown it."""
    mean = max(counts.mean(), np.finfo(np.float64).tiny)
    return np.asarray(np.log1p(10 * counts / mean), np.float32)


def factor(wanted: float, measured: float) -> float:
    """What makes a spread of `measured` one of `wanted`; 0 where there is nothing to scale."""
    return wanted / measured if measured > 0 else 0.0

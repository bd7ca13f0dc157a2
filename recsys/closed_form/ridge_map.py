"""A linear map from what items are to where a model has put them: ridge regression, for items that
nobody took yet.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array

_RIDGES = (3.0, 10.0, 30.0)
_HELD = 10  # every tenth item chooses the ridge
_TOLERANCE, _MOST_STEPS = 1e-4, 300


@dataclass(frozen=True)
class RidgeMap:
    """vector ≈ mean + Σ weights of its values. mean: (d,). weights: (values, d). likeness: see
    `ridge_map`.
    """

    mean: Float32Array
    weights: Float32Array
    ridge: float
    likeness: float

    def predict(self, features: sparse.csr_matrix) -> Float32Array:
        """(n, d) from (n, values)."""
        return np.asarray(self.mean + features @ self.weights, np.float32)


def ridge_map(features: sparse.csr_matrix, vectors: Float32Array) -> RidgeMap:
    """Fitted on the items that have any value. features: (items, values) 0/1. vectors: (items, d).

    The ridge is the one whose map, fitted on nine of ten items, puts the tenth nearest to where
    they are: `likeness` is the mean cosine there.
    """
    there = np.diff(features.indptr) > 0
    features, vectors = features[there].astype(np.float32), np.asarray(vectors, np.float32)[there]
    held = np.arange(len(vectors)) % _HELD == 0
    likeness = {
        ridge: _likeness(
            _fit(features[~held], vectors[~held], ridge), features[held], vectors[held]
        )
        for ridge in _RIDGES
    }
    best = max(_RIDGES, key=lambda ridge: likeness[ridge])
    return RidgeMap(*_fit(features, vectors, best), best, likeness[best])


def _likeness(
    fitted: tuple[Float32Array, Float32Array], features: sparse.csr_matrix, vectors: Float32Array
) -> float:
    mean, weights = fitted
    predicted = mean + features @ weights
    lengths = np.linalg.norm(predicted, axis=1) * np.linalg.norm(vectors, axis=1)
    products = np.einsum("nd,nd->n", predicted, vectors)
    return (
        float(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean())
        if len(vectors)
        else 0.0
    )


def _fit(
    features: sparse.csr_matrix, vectors: Float32Array, ridge: float
) -> tuple[Float32Array, Float32Array]:
    """The mean, and W of (XᵀX + ridge) W = Xᵀ(Z − mean) by conjugate gradients, preconditioned by
    the diagonal.

    All columns of W at once, each with steps of its own (Hestenes & Stiefel 1952): XᵀX itself would
    be dense.
    """
    mean = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)
    back = features.T.tocsr()
    counts = np.asarray(features.multiply(features).sum(axis=0)).reshape(-1, 1)
    scale: Float32Array = (1 / (counts + ridge)).astype(np.float32)
    residual = np.asarray(back @ (vectors - mean), np.float32)
    direction: Float32Array = scale * residual
    weights = np.zeros_like(residual)
    size, enough = _dots(residual, direction), _TOLERANCE**2 * _dots(residual, residual).sum()
    for _ in range(_MOST_STEPS):
        if _dots(residual, residual).sum() <= enough:
            break
        image = back @ (features @ direction) + np.float32(ridge) * direction
        step = _ratio(size, _dots(direction, image))
        weights += step * direction
        residual -= step * image
        pull: Float32Array = scale * residual
        size, before = _dots(residual, pull), size
        direction = pull + _ratio(size, before) * direction
    return mean, weights


def _dots(left: Float32Array, right: Float32Array) -> Float32Array:
    """(columns,) inner products."""
    return np.asarray(np.einsum("vd,vd->d", left, right))


def _ratio(above: Float32Array, below: Float32Array) -> Float32Array:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

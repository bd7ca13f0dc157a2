"""Ridge regression from items' attributes to their trained vectors, for items without
interactions.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array

_RIDGES = (3.0, 10.0, 30.0)
_HELD = 10  # every tenth item chooses the ridge
_TOLERANCE, _MOST_STEPS = 1e-4, 300


@dataclass(frozen=True)
class RidgeMap:
    """vector ≈ mean + Σ weights of the item's values.

    mean: (d,).
    weights: (values, d).
    ridge: the penalty that was chosen.
    cosines: (items left out,) of predicted and trained vectors, of a fit without these items.
    """

    mean: Float32Array
    weights: Float32Array
    ridge: float
    cosines: Float32Array

    @property
    def likeness(self) -> float:
        """Mean cosine; 0 without items."""
        return float(self.cosines.mean()) if len(self.cosines) else 0.0

    def predict(self, features: sparse.csr_matrix) -> Float32Array:
        """(n, d) from (n, values)."""
        return np.asarray(self.mean + features @ self.weights, np.float32)


def ridge_map(
    features: sparse.csr_matrix, vectors: Float32Array, has_values: BoolArray | None = None
) -> RidgeMap:
    """Fitted on the items that have any value. features: (items, values) 0/1. vectors: (items, d).

    The ridge is the one whose map, fitted on nine of ten items, puts the tenth nearest to where
    they are: `likeness` is the mean cosine there.

    has_values: (items,) which to fit on, where maps of different features are compared.
    """
    if has_values is None:
        has_values = np.diff(features.indptr) > 0
    features = features[has_values].astype(np.float32)
    vectors = np.asarray(vectors, np.float32)[has_values]

    held_out = np.arange(len(vectors)) % _HELD == 0
    cosines = {}
    for ridge in _RIDGES:
        mean, weights = _fit(features[~held_out], vectors[~held_out], ridge)
        predicted = mean + features[held_out] @ weights
        cosines[ridge] = _cosines(predicted, vectors[held_out])
    best = max(_RIDGES, key=lambda ridge: cosines[ridge].sum())

    mean, weights = _fit(features, vectors, best)
    return RidgeMap(mean, weights, best, cosines[best])


def _cosines(predicted: Float32Array, vectors: Float32Array) -> Float32Array:
    """(n,) of the rows of two (n, d) arrays; 0 for a row of zeros."""
    products = np.einsum("nd,nd->n", predicted, vectors)
    lengths = np.linalg.norm(predicted, axis=1) * np.linalg.norm(vectors, axis=1)
    return _ratio(products, lengths)


def _fit(
    features: sparse.csr_matrix, vectors: Float32Array, ridge: float
) -> tuple[Float32Array, Float32Array]:
    """The mean, and W of (XᵀX + ridge) W = Xᵀ(Z − mean) by conjugate gradients, preconditioned by
    the diagonal.

    All columns of W at once, each with steps of its own (Hestenes & Stiefel 1952): XᵀX itself would
    be dense.
    """
    mean = np.zeros(vectors.shape[1], np.float32)
    if len(vectors):
        mean = vectors.mean(axis=0)
    transposed = features.T.tocsr()

    # The preconditioner: the inverse of the diagonal of XᵀX + ridge.
    squares = features.multiply(features)
    counts = np.asarray(squares.sum(axis=0)).reshape(-1, 1)
    inverse_diagonal: Float32Array = (1 / (counts + ridge)).astype(np.float32)

    weights = np.zeros((features.shape[1], vectors.shape[1]), np.float32)
    residual = np.asarray(transposed @ (vectors - mean), np.float32)
    direction: Float32Array = inverse_diagonal * residual
    energy = _dots(residual, direction)
    enough = _TOLERANCE**2 * _dots(residual, residual).sum()
    for _ in range(_MOST_STEPS):
        if _dots(residual, residual).sum() <= enough:
            break
        # One step along the direction, as far as it lowers the squared error of each column.
        image = transposed @ (features @ direction) + np.float32(ridge) * direction
        step = _ratio(energy, _dots(direction, image))
        weights += step * direction
        residual -= step * image

        # The next direction is conjugate to the ones before.
        preconditioned: Float32Array = inverse_diagonal * residual
        energy_before = energy
        energy = _dots(residual, preconditioned)
        direction = preconditioned + _ratio(energy, energy_before) * direction
    return mean, weights


def _dots(left: Float32Array, right: Float32Array) -> Float32Array:
    """(columns,) inner products."""
    return np.asarray(np.einsum("vd,vd->d", left, right))


def _ratio(numerator: Float32Array, denominator: Float32Array) -> Float32Array:
    """Quotients, 0 where the denominator is 0."""
    quotient = np.zeros_like(numerator)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient

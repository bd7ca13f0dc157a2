"""iALS: weighted matrix factorisation by alternating least squares (Hu et al. 2008), computed by
`implicit`.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.errors import MachineError
from recsys.core.interactions import Interactions

_MISSING = (
    'the optional package implicit is not installed; install it with: pip install "recsys[als]"'
)


@dataclass(frozen=True)
class FactorScorer:
    """score = user · item. users: (users, width), items: (items, width), float32."""

    users: Float32Array
    items: Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        return self.users[users] @ self.items.T


def missing() -> str | None:
    """Why iALS cannot run here, or None when it can."""
    return None if find_spec("implicit") else _MISSING


def fit_ials(
    interactions: Interactions,
    target: str,
    width: int,
    confidence: float,
    regularisation: float,
    iterations: int,
    seed: int,
) -> FactorScorer:
    """Factors of the 0/1 matrix of users and items.

    Args:
        interactions: of a phase.
        target: the behaviour to learn from and to predict.
        width: of the factors.
        confidence: what an observed pair weighs; any other weighs 1.
        regularisation: of the factors.
        iterations: rounds over users and items.
        seed: of the first factors.

    Raises:
        MachineError: `implicit` is not installed.
    """
    if reason := missing():
        raise MachineError(reason)
    # Its BLAS calls sit inside its own threads; more than one BLAS thread each makes it many times
    # slower, and it warns.
    with threadpool_limits(1, "blas"):
        from implicit.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=width,
            alpha=confidence,
            regularization=regularisation,
            iterations=iterations,
            random_state=seed,
        )
        model.fit(interactions.matrix((target,)), show_progress=False)
    return FactorScorer(np.asarray(model.user_factors), np.asarray(model.item_factors))

"""A scorer that every linear item–item model shares: a user's row of train times an item–item
table.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Int32Array


@dataclass(frozen=True)
class LinearScorer:
    """score = r_u · table. rows: (users, items) train matrix; table: (items, items), sparse or
    dense, float32.
    """

    rows: sparse.csr_matrix
    table: sparse.csr_matrix | Float32Array

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        scores = self.rows[users] @ self.table
        if sparse.issparse(scores):
            scores = scores.toarray()
        return np.asarray(scores, dtype=np.float32)

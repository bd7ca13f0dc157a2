"""A scorer that every linear item–item model shares: a user's row of train times an item–item
table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class LinearScorer:
    """score = r_u · table. rows: (users, items) train matrix; table: (items, items), sparse or
    dense, float32.
    """

    rows: sparse.csr_matrix
    table: sparse.csr_matrix | NDArray[np.float32]

    def score(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """(len(users), items) float32."""
        product = self.rows[users] @ self.table
        return np.asarray(
            product.toarray() if sparse.issparse(product) else product, dtype=np.float32
        )

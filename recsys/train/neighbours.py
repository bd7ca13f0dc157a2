"""Items much like a user's own, as further positives."""

import numpy as np
from scipy import sparse

from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.arrays import Int64Array
from recsys.core.config import TrainConfig


class NeighbourPositives:
    """Pairs (user, neighbour of the item) beside some of the pairs (user, item).

    After NESCL (Sun et al. 2023), where nearest neighbours join the positives of a contrastive
    loss; here they join those of the loss itself, and how many of them rather than a factor gives
    their weight.

    positives: (users, items) known pairs; the `neighbour_positives` most similar items of each are
    those of highest cosine over its users.
    """

    def __init__(self, positives: sparse.csr_matrix, config: TrainConfig) -> None:
        self._share = config.neighbour_share
        self._similar = cooccurrence(positives, "cosine", config.neighbour_positives)
        self._num_similar = np.diff(self._similar.indptr)

    def draw(
        self, user: Int64Array, item: Int64Array, draw: np.random.Generator
    ) -> tuple[Int64Array, Int64Array]:
        """Users and items of the further pairs: of each pair with probability `neighbour_share`,
        alike among the similar.

        Items without a similar one give none.
        """
        chance = draw.random(len(user))
        which = draw.random(len(user))
        num_similar = self._num_similar[item]
        chosen = (chance < self._share) & (num_similar > 0)
        # A uniform draw among the entries of the item's row.
        entry = self._similar.indptr[item] + (which * num_similar).astype(np.int64)
        similar = self._similar.indices[entry[chosen]]
        return user[chosen], similar.astype(np.int64)

"""How often an item is taken by those who met it: viewed and bought, say."""

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array

_SHRINKAGE = 10.0  # users without a choice of their own that every item is given


def conversion(met: sparse.csr_matrix, taken: sparse.csr_matrix) -> Float32Array:
    """(items,) (k_i + 10 k/n) / (n_i − k_i + 10): the odds that one who met item i takes it, above
    0 where k is.

    n_i: users who met the item; k_i: those of them who took it; k, n: the same over all items. met,
    taken: (users, items) 0/1. Where every item was taken about as often, it is highest for the
    items that the fewest met.
    """
    num_met = np.asarray(met.sum(axis=0), np.float64).ravel()
    num_taken = np.asarray(met.multiply(taken).sum(axis=0), np.float64).ravel()
    overall = num_taken.sum() / max(num_met.sum(), 1.0)
    odds = (num_taken + _SHRINKAGE * overall) / (num_met - num_taken + _SHRINKAGE)
    return np.asarray(odds, np.float32)

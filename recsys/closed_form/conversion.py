"""How often an auxiliary behaviour (a view) leads to the target (a purchase), by item."""

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array

_SHRINKAGE = 10.0  # users of average odds that are added to every item's


def conversion(auxiliary: sparse.csr_matrix, target: sparse.csr_matrix) -> Float32Array:
    """(items,) (k_i + 10 k/n) / (n_i − k_i + 10): odds of the target behaviour, given the auxiliary.

    n_i: users of item i under the auxiliary behaviour; k_i: those of them under the target too; k,
    n: the same over all items. Above 0 where k is. auxiliary, target: (users, items) 0/1. Where
    every item has about as many target users, it is highest for the items with the fewest
    auxiliary ones.
    """
    num_users = np.asarray(auxiliary.sum(axis=0), np.float64).ravel()
    converted = auxiliary.multiply(target)
    num_converted = np.asarray(converted.sum(axis=0), np.float64).ravel()

    # Shrunk towards the rate over all items, k/n.
    overall_rate = num_converted.sum() / max(num_users.sum(), 1.0)
    shrunk = num_converted + _SHRINKAGE * overall_rate
    not_converted = num_users - num_converted + _SHRINKAGE
    return np.asarray(shrunk / not_converted, np.float32)

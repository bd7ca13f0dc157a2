"""The simple rule for logs with several behaviours: viewed or carted, not bought; rarest first."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Int32Array, Int64Array
from recsys.phases.phase import Phase


@dataclass(frozen=True)
class RarestFirst:
    """Items met under other behaviours, the fewest rows of the log first. met: (users, items) 0/1.
    rows: (items,).
    """

    met: sparse.csr_matrix
    rows: Int64Array

    def score(self, users: Int32Array) -> Float32Array:
        return np.asarray(
            (self.met[users] @ sparse.diags(1.0 / (self.rows + 1.0))).toarray(), np.float32
        )


def rarest_first(phase: Phase) -> RarestFirst:
    """The rule for the users of a phase."""
    log = phase.interactions
    others = tuple(name for name in log.behaviors if name != phase.target)
    return RarestFirst(log.matrix(others), np.bincount(log.item, minlength=log.num_items))

"""The simple rule for logs with several behaviours: viewed or carted, not bought; rarest first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.phases.phase import Phase


@dataclass(frozen=True)
class RarestFirst:
    """Items met under other behaviours, the fewest rows of the log first. met: (users, items) 0/1.
    rows: (items,).
    """

    met: sparse.csr_matrix
    rows: NDArray[np.int64]

    def score(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.asarray(
            (self.met[users] @ sparse.diags(1.0 / (self.rows + 1.0))).toarray(), np.float32
        )


def rarest_first(phase: Phase) -> RarestFirst:
    """The rule for the users of a phase."""
    log = phase.interactions
    others = tuple(name for name in log.behaviors if name != phase.target)
    return RarestFirst(log.matrix(others), np.bincount(log.item, minlength=log.num_items))

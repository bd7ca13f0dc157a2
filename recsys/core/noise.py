"""Whether one way to score is better than another by more than the noise of validation."""

import math
from typing import NamedTuple

import numpy as np

from recsys.core.arrays import FloatArray

STEP_ERRORS = 0.5
"""Standard errors that a step of a search has to gain: what steps add up to is judged at the end."""
CHOICE_ERRORS = 1.0
"""Standard errors within which of the best the simplest is chosen."""
FEWEST_USERS = 6
"""Where fewer users differ, even the same sign in all of them is chance (2^−5 > 3 %)."""


class Difference(NamedTuple):
    """Of two ways to score the same users.

    mean: of the differences by user.
    error: standard error of that mean; infinite where too few users differ to tell.
    """

    mean: float
    error: float

    def beyond(self, errors: float) -> bool:
        """Whether the mean is above so many standard errors."""
        return self.mean > 0 and self.mean > errors * self.error

    def within(self, errors: float) -> bool:
        """Whether the mean is no more than so many standard errors."""
        return self.mean <= errors * self.error


def difference(values: FloatArray, others: FloatArray) -> Difference:
    """Of `values` over `others`, paired: (n,) of the same users in the same order."""
    differences = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    mean = float(differences.mean())
    if np.count_nonzero(differences) < FEWEST_USERS:
        return Difference(mean, np.inf)
    deviation = float(differences.std(ddof=1))
    return Difference(mean, deviation / math.sqrt(len(differences)))

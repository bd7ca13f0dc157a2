"""Holding out by moments: everything before a moment may be learned from, everything after it may
not.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray, Int64Array
from recsys.core.errors import DataError

# Where a row goes. LATER: other behaviours of the validation period, known when the test begins and
# not before.
TRAIN, VALIDATION, TEST, LATER, DROPPED = range(5)

_REMEDY = (
    'Times are too coarse for this share: set split.method = "random", or another split.test_share'
)


def cut_moment(times: Int64Array, share: float, remedy: str = _REMEDY) -> int:
    """The first moment held out, such that at least `share` of `times` is not before it.

    Rows at exactly that moment are all held out, so a coarse clock holds out more. Raises DataError
    when nothing would be left before it, with the `remedy`.
    """
    num_held_out = max(1, int(len(times) * share + 0.5))
    first_held_out = len(times) - num_held_out
    if first_held_out <= 0:
        raise DataError(f"cannot hold out {share:.0%} of {len(times)} rows by time", remedy)
    ordered = np.partition(times, first_held_out)  # as sorted, at that one position
    moment = int(ordered[first_held_out])
    if not (times < moment).any():
        raise DataError(f"no row is earlier than the time cut at {moment}", remedy)
    return moment


def place_by_moments(
    time: Int64Array, target: BoolArray, validation_cut: int | None, test_cut: int
) -> NDArray[np.int8]:
    """Part of each row, (n,): target rows from a cut on are held out, others from the test cut on
    are dropped.

    Args:
        time: (n,) unix seconds.
        target: (n,) whether a row is of the target behaviour.
        validation_cut: first moment of validation; None for none.
        test_cut: first moment of the test.
    """
    codes = np.full(len(time), TRAIN, np.int8)
    if validation_cut is not None:
        in_validation = time >= validation_cut
        codes[in_validation & target] = VALIDATION
        codes[in_validation & ~target] = LATER
    in_test = time >= test_cut
    codes[in_test & target] = TEST
    codes[in_test & ~target] = DROPPED
    return codes

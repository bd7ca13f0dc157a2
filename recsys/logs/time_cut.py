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


def cut_moment(times: Int64Array, share: float) -> int:
    """The first moment held out, such that at least `share` of `times` is not before it.

    Rows at exactly that moment are all held out, so a coarse clock holds out more. Raises DataError
    when nothing would be left before it.
    """
    held = max(1, int(len(times) * share + 0.5))
    if held >= len(times):
        raise DataError(f"cannot hold out {share:.0%} of {len(times)} rows by time", _REMEDY)
    moment = int(np.partition(times, len(times) - held)[len(times) - held])
    if not (times < moment).any():
        raise DataError(f"no row is earlier than the time cut at {moment}", _REMEDY)
    return moment


def place_by_moments(
    time: Int64Array, target: BoolArray, validation_cut: int | None, test_cut: int
) -> NDArray[np.int8]:
    """Place of each row, (n,): target rows from a cut on are held out, others from the test cut on
    are dropped.
    """
    place = np.full(len(time), TRAIN, np.int8)
    if validation_cut is not None:
        place[time >= validation_cut] = VALIDATION
        place[(time >= validation_cut) & ~target] = LATER
    place[time >= test_cut] = TEST
    place[(time >= test_cut) & ~target] = DROPPED
    return place

"""Holding out by moments: everything before a moment may be learned from, everything after it may
not.
"""

from typing import Protocol

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


class Moments(Protocol):
    """Times of rows, wherever these are, as far as cuts ask for them."""

    def count_before(self, moment: int | None) -> int:
        """How many are earlier; all when None."""
        ...

    def at(self, place: int) -> int:
        """The time that stands at a place, from 0, when all are sorted."""
        ...


class MomentsInMemory:
    """times: (n,) unix seconds."""

    def __init__(self, times: Int64Array) -> None:
        self._times = times

    def count_before(self, moment: int | None) -> int:
        """How many are earlier; all when None."""
        return len(self._times) if moment is None else int((self._times < moment).sum())

    def at(self, place: int) -> int:
        """The time that stands at a place, from 0, when all are sorted."""
        return int(np.partition(self._times, place)[place])


def cut_moment(
    times: Moments, share: float, remedy: str = _REMEDY, before: int | None = None
) -> int:
    """The first moment held out, such that at least `share` of `times` is not before it.

    Rows at exactly that moment are all held out, so a coarse clock holds out more. before: only what
    is earlier counts. Raises DataError when nothing would be left before it, with the `remedy`.
    """
    num_rows = times.count_before(before)
    num_held_out = max(1, int(num_rows * share + 0.5))
    first_held_out = num_rows - num_held_out
    if first_held_out <= 0:
        raise DataError(f"cannot hold out {share:.0%} of {num_rows} rows by time", remedy)
    # What is earlier than some moment stands first, whatever else there is.
    moment = times.at(first_held_out)
    if not times.count_before(moment):
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

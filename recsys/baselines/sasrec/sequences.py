"""Histories as sequences of items, oldest first, cut into windows that a network can read."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Int64Array, IntArray
from recsys.core.history import user_histories
from recsys.core.interactions import Interactions

WINDOW = 50
"""Most items that a window holds, the latest ones."""
LARGEST_BATCH = 256
"""Most windows of a batch."""
_SMALLEST_BATCH = 32
_STEPS = 64  # of an epoch, at least, where batches are not the smallest
_SORTED_TOGETHER = 16  # batches whose windows are sorted by length, so that few columns stay empty


class Sequences(NamedTuple):
    """The items of every user under the target behaviour, oldest first, each once, at its latest.

    indptr: (users + 1,) where the items of each user begin and end.
    items: (n,) internal ids.
    """

    indptr: Int64Array
    items: IntArray


class Windows(NamedTuple):
    """Runs of following items.

    start: (n,) of each window its first row of `Sequences.items`.
    length: (n,) how many items it has, from 1 to WINDOW.
    """

    start: Int64Array
    length: Int64Array

    def of(self, rows: IntArray) -> "Windows":
        """Some windows."""
        return Windows(self.start[rows], self.length[rows])


class Batch(NamedTuple):
    """Windows as one array, filled up behind their items.

    items: (windows, longest) internal ids, 0 where there is none.
    position: (windows, longest) counted so that a window's last item stands at WINDOW − 1.
    is_item: (windows, longest) where there is an item.
    """

    items: IntArray
    position: Int64Array
    is_item: BoolArray


def sequences(interactions: Interactions, target: str) -> Sequences:
    """The sequences of all users of a phase; its rows have an order."""
    histories = user_histories(interactions)
    latest = histories.latest_rows((target,))
    users = histories.user[latest]
    counts = np.bincount(users, minlength=interactions.num_users)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return Sequences(indptr, histories.item[latest])


def latest_windows(indptr: Int64Array) -> Windows:
    """One window a user, the latest items; users without any have none."""
    counts = np.diff(indptr)
    length = np.minimum(counts, WINDOW)
    start = indptr[1:] - length
    has_items = counts > 0
    return Windows(start[has_items], length[has_items])


def training_windows(indptr: Int64Array) -> Windows:
    """Windows of which every item is followed by one to predict.

    Each item but the first of a user is predicted once: long histories are cut, from their end on.
    """
    counts = np.diff(indptr)
    num_inputs = np.maximum(counts - 1, 0)
    num_windows = np.ceil(num_inputs / WINDOW).astype(np.int64)
    user = np.repeat(np.arange(len(counts)), num_windows)

    # How many windows of the user are later: 0 for the last.
    first_of_user = np.cumsum(num_windows) - num_windows
    num_later = np.arange(len(user)) - first_of_user[user]

    last_input = indptr[user] + num_inputs[user]
    stop = last_input - num_later * WINDOW
    start = np.maximum(stop - WINDOW, indptr[user])
    return Windows(start, stop - start)


def batch_of(items: IntArray, windows: Windows) -> Batch:
    """The items of some windows as one array."""
    start = windows.start[:, None]
    length = windows.length[:, None]
    column = np.arange(length.max())
    is_item = column < length

    row = np.where(is_item, start + column, 0)
    batch_items = np.where(is_item, items[row], 0)

    # The last item stands at WINDOW − 1, so what was latest has the same place in every window.
    position = WINDOW - length + column
    position = np.minimum(position, WINDOW - 1)
    return Batch(batch_items, position, is_item)


def batch_size(num_windows: int) -> int:
    """Windows a step: 256, fewer in a small log, so that an epoch has enough steps to learn from."""
    return min(max(num_windows // _STEPS, _SMALLEST_BATCH), LARGEST_BATCH)


def in_batches(lengths: Int64Array, size: int, draw: np.random.Generator) -> Iterator[Int64Array]:
    """The numbers of all windows once, `size` at a time, in random order, of like lengths."""
    shuffled = draw.permutation(len(lengths))
    batches: list[Int64Array] = []
    for group in _cut(shuffled, size * _SORTED_TOGETHER):
        order = np.argsort(lengths[group], kind="stable")
        batches.extend(_cut(group[order], size))
    for number in draw.permutation(len(batches)):
        yield batches[number]


def _cut(numbers: Int64Array, size: int) -> Iterator[Int64Array]:
    """Runs of `size` numbers; the last may be shorter."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]

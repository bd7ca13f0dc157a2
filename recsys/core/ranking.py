"""Ranked lists: what every recommender is asked for, and what evaluation judges."""

from typing import NamedTuple, Protocol

import numpy as np

from recsys.core.arrays import Float32Array, Int32Array, Int64Array

NO_ITEM = -1


class Hits(NamedTuple):
    """Ranked items of several queries.

    items: (queries, k) int32 dense item ids, best first; NO_ITEM (−1) fills lists that ran out of
    candidates. scores: (queries, k) float32; −inf where items is NO_ITEM. Ties: the smaller dense
    id comes first.
    """

    items: Int32Array
    scores: Float32Array


class Scorer(Protocol):
    """Anything that scores every item for some users: a baseline, a model, a blend."""

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) scores; higher is better."""
        ...


def top_k(scores: Float32Array, k: int) -> Hits:
    """The k best columns of each row of `scores` (queries, items); −inf marks what may not be
    recommended.
    """
    num_items = scores.shape[1]
    width = min(k, num_items)
    items = _best(scores, width)
    values = np.take_along_axis(scores, items, axis=1)
    # Scores are rounded to their own precision only: exact ties go to the smaller id, whatever the
    # partition did.
    order = np.lexsort((items, -values), axis=1)
    items = np.take_along_axis(items, order, axis=1).astype(np.int32)
    values = np.take_along_axis(values, order, axis=1).astype(np.float32)
    items[np.isneginf(values)] = NO_ITEM
    if width < k:
        padding = ((0, 0), (0, k - width))
        items = np.pad(items, padding, constant_values=NO_ITEM)
        values = np.pad(values, padding, constant_values=-np.inf)
    return Hits(items.astype(np.int32, copy=False), values)


def _best(scores: Float32Array, count: int) -> Int64Array:
    """Columns of the `count` best of each row, unordered; among equals at the border the smaller
    columns.
    """
    if count == scores.shape[1]:
        return np.broadcast_to(np.arange(count), scores.shape).copy()
    # (queries, count); which of several equal ones at the border, the partition does not promise.
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    border = np.take_along_axis(scores, best, axis=1).min(axis=1, keepdims=True)
    # Rows with more candidates at the border than there is room for.
    num_reaching = (scores >= border).sum(axis=1)
    for row in np.flatnonzero(num_reaching > count):
        above = np.flatnonzero(scores[row] > border[row])
        equal = np.flatnonzero(scores[row] == border[row])
        room = count - len(above)
        best[row] = np.concatenate([above, equal[:room]])
    return best

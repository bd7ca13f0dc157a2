"""What the second stage reads of a user and an item."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Float64Array, Int32Array, IntArray
from recsys.core.history import WeightedHistories
from recsys.encode.history_scores import HistoryScores

NAMES = (
    "score",
    "by_vectors",
    "by_item_table",
    "by_low_pass",
    "by_trend",
    "by_popularity",
    "item_users",
    "item_recent_users",
    "history_length",
    "history_popularity",
    "popularity_above_history",
    "likest_in_history",
    "three_likest_in_history",
    "mean_likeness_to_history",
)
"""The parts of the score, the item, the user, and the item beside what the user has had."""
WORDS = {
    "by_vectors": "how well it fits you by the model",
    "score": "how well it fits you by the model",
    "by_item_table": "what goes with items you had",
    "by_low_pass": "what goes with items you had",
    "by_trend": "being taken often of late",
    "by_popularity": "how many take it",
    "item_users": "how many take it",
    "item_recent_users": "how many take it of late",
    "history_length": "how much you have had",
    "history_popularity": "how popular is what you have had",
    "popularity_above_history": "how popular it is beside what you have had",
    "likest_in_history": "being like something you had",
    "three_likest_in_history": "being like something you had",
    "mean_likeness_to_history": "being like what you have had",
}
_LONGEST_HISTORY = 200  # of a longer one some, spread evenly


@dataclass(frozen=True)
class FirstStage:
    """What scores the candidates.

    item_vectors: (items, d).
    added: what histories add; None for vectors alone.
    counts: (items,) users of each under the target behaviour.
    recent: (items,) share of users, of recent ones where the bundle says so.
    """

    item_vectors: Float32Array
    added: HistoryScores | None
    counts: Float32Array
    recent: Float32Array

    @cached_property
    def directions(self) -> Float32Array:
        """(items, d) item vectors of length 1."""
        vectors = np.asarray(self.item_vectors, np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled = np.zeros_like(vectors)
        np.divide(vectors, lengths, out=scaled, where=lengths > 0)
        return scaled

    @cached_property
    def logarithms(self) -> Float64Array:
        """(items,) ln(1 + users)."""
        return np.log1p(np.asarray(self.counts, np.float64))

    @cached_property
    def most_popular(self) -> Int32Array:
        """(items,) the most popular first."""
        return np.argsort(-self.counts, kind="stable").astype(np.int32)


@dataclass(frozen=True)
class RankedUsers:
    """Of n users who get lists.

    vectors: (n, d).
    past: what is added is asked with; None where nothing is.
    had: (n, items) an entry for each item under the target behaviour.
    """

    vectors: Float32Array
    past: WeightedHistories | None
    had: sparse.csr_matrix


def features_of(
    first: FirstStage, users: RankedUsers, row: IntArray, item: IntArray, unit: float
) -> tuple[Float32Array, Float64Array]:
    """(pairs, features) of pairs of a user and an item, and (pairs,) the score of the first stage.

    Args:
        first: That stage.
        users: Of n users.
        row: (pairs,) places among them, ascending.
        item: (pairs,) internal ids.
        unit: Scores and their parts are counted in this.

    Returns:
        Features in the order of NAMES, and scores as the first stage gives them.
    """
    parts = _parts_of_scores(first, users, row, item)
    scores = parts.sum(axis=1)
    pairs = np.empty((len(row), len(NAMES)), np.float32)
    pairs[:, 0] = scores / unit
    pairs[:, 1:6] = parts / unit
    pairs[:, 6] = first.logarithms[item]
    pairs[:, 7] = np.log1p(np.asarray(first.recent, np.float64)[item] * 1000)

    lengths = np.diff(users.had.indptr)
    sums = users.had.sign() @ first.logarithms
    means = sums / np.maximum(lengths, 1)
    pairs[:, 8] = np.log1p(lengths[row])
    pairs[:, 9] = means[row]
    pairs[:, 10] = first.logarithms[item] - means[row]
    pairs[:, 11:14] = _likeness(first.directions, users.had, row, item)
    return pairs, scores


def _parts_of_scores(
    first: FirstStage, users: RankedUsers, row: IntArray, item: IntArray
) -> Float64Array:
    """(pairs, 5): vectors, item table and auxiliary behaviours, low-pass, trend, popularity."""
    parts = np.zeros((len(row), 5))
    parts[:, 0] = _inner(users.vectors[row], first.item_vectors[item])
    added = first.added
    if added is None or users.past is None:
        return parts
    sparse_scores = added.sparse_scores(users.past)
    if sparse_scores.nnz:
        parts[:, 1] = np.asarray(sparse_scores[row, item]).ravel()
    if added.rank:
        queries = added.queries(users.past.items)[:, : added.rank]
        parts[:, 2] = _inner(queries[row], added.back[item, : added.rank])
    parts[:, 3] = added.trend[item]
    parts[:, 4] = added.popular[item]
    return parts


def _inner(left: Float32Array, right: Float32Array) -> Float32Array:
    """(pairs,) inner products of rows."""
    return np.asarray(np.einsum("pd,pd->p", left, right))


def _likeness(
    directions: Float32Array, had: sparse.csr_matrix, row: IntArray, item: IntArray
) -> Float32Array:
    """(pairs, 3) cosines of an item with what its user has had: largest, mean of the three largest,
    mean of all. 0 for who had nothing.
    """
    likeness = np.zeros((len(row), 3), np.float32)
    for user, pairs in _by_user(row):
        history = had.indices[had.indptr[user] : had.indptr[user + 1]]
        if not len(history):
            continue
        if len(history) > _LONGEST_HISTORY:
            places = np.linspace(0, len(history) - 1, _LONGEST_HISTORY).astype(np.int64)
            history = history[places]
        cosines = directions[item[pairs]] @ directions[history].T
        count = min(3, len(history))
        largest = np.partition(cosines, -count, axis=1)[:, -count:]
        likeness[pairs, 0] = largest.max(axis=1)
        likeness[pairs, 1] = largest.mean(axis=1)
        likeness[pairs, 2] = cosines.mean(axis=1)
    return likeness


def _by_user(row: IntArray) -> Iterator[tuple[int, slice]]:
    """Each user with the pairs of theirs. row: ascending."""
    users, starts = np.unique(row, return_index=True)
    ends = [*starts[1:].tolist(), len(row)]
    for user, start, end in zip(users.tolist(), starts.tolist(), ends, strict=True):
        yield user, slice(start, end)

"""What the second stage is told of the first one, and of the users who get lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Float64Array, Int32Array
from recsys.core.history import NOW, UserHistories, WeightedHistories
from recsys.encode.history_scores import HistoryScores
from recsys.second_stage.columns import Column

_LATEST_EVENTS = 5


@dataclass(frozen=True)
class FirstStage:
    """What scores the candidates.

    item_vectors: (items, d).
    added: what histories add; None for vectors alone.
    counts: (items,) users of each under the target behaviour.
    recent: (items,) share of users, of recent ones where the bundle says so.
    neighbours: (items, items) what each item of a history says for others, by common users; None for
        a bundle of before.
    item_columns: of the item table.
    user_codes: by column of users that the graph has, (values,) number of the category of each
        value (`columns.codes_of`).
    """

    item_vectors: Float32Array
    added: HistoryScores | None
    counts: Float32Array
    recent: Float32Array
    neighbours: sparse.csr_matrix | None = None
    item_columns: Mapping[str, Column] = field(default_factory=dict)
    user_codes: Mapping[str, Float64Array] = field(default_factory=dict)

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

    @cached_property
    def most_recent(self) -> Int32Array:
        """(items,) the most popular of late first; (0,) where recent users count like all."""
        order = np.argsort(-self.recent, kind="stable").astype(np.int32)
        return order[:0] if np.array_equal(order, self.most_popular) else order


@dataclass(frozen=True)
class RankedUsers:
    """Of n users who get lists.

    vectors: (n, d).
    past: what is added is asked with; None where nothing is.
    had: (n, items) an entry for each item under the target behaviour.
    latest: (n, items) 1 at the latest of them; None where their order is not known.
    moments: (n,) unix seconds at which lists are asked for; NaN where the log has no clock.
    last_moments: (n,) unix seconds of the latest event before; NaN for none.
    attributes: by column of users that the graph has, (n, values) an entry for each value.
    """

    vectors: Float32Array
    past: WeightedHistories | None
    had: sparse.csr_matrix
    latest: sparse.csr_matrix | None = None
    moments: Float64Array | None = None
    last_moments: Float64Array | None = None
    attributes: Mapping[str, sparse.csr_matrix] = field(default_factory=dict)


def latest_items(histories: UserHistories, target: str) -> sparse.csr_matrix:
    """(users, items) 1 at the latest few items of each user under the target behaviour."""
    rows = histories.latest_rows((target,))
    rows = rows[histories.num_later(rows) < _LATEST_EVENTS]
    ends = (histories.user[rows], histories.item[rows])
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_matrix((ones, ends), shape=(histories.num_users, histories.num_items))


def last_moments(histories: UserHistories, moments: Float64Array) -> Float64Array:
    """(users,) unix seconds of the latest event of each user up to their moment; NaN for none.

    moments: (users,). Events that name no time are as late as the moment.
    """
    last = np.full(histories.num_users, -np.inf)
    if histories.moments is not None:
        cutoffs = moments[histories.user]
        times = np.where(histories.moments < NOW, histories.moments, cutoffs)
        is_before = times <= cutoffs
        np.maximum.at(last, histories.user[is_before], times[is_before])
    last[np.isinf(last)] = np.nan
    return last

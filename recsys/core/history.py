"""What users did, in order: one account for graph, scores, encoder, evaluation and serving.

A row of a history is one interaction: an item, under a behaviour, with a weight, at a time. All that
a model and its scores read of users follows from the rows:

    edge of user u and item i under behaviour b
        w_b · 2^(−p / half_life_events) · Σ_rows weight · 2^(−age / half_life_days)
    item i in the weighted history of user u
        max_b w_b · 2^(−p / half_life_events)

age: days from the row back to `now`, the last moment that the model has seen; 0 for later rows.
p: how many of the user's pairs (of behaviour b; of all behaviours that count) are later.

Edges of the model family "history" have a learnt factor rank_weights[p] · gap_weights[g] besides, g being
the time from the row to the user's latest one under b on a logarithmic scale (`gap_bucket`); events that
name no time are as late as `now`.

`core.later_events` extends the rows of a user by events that came after training. To change how
history weighs, change this module: training and serving both read it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array, IntArray
from recsys.core.distinct import distinct
from recsys.core.errors import UsageError
from recsys.core.interactions import DAY_SECONDS, Interactions, TimeKind

_FLOAT32 = np.finfo(np.float32)
GAPS = 32
"""Buckets of time gaps: the last holds all from 2³¹ seconds on."""
NOW = 1 << 61
"""Events that name no time have times from here on: later than all others, in the order given."""


def decay_by_days(time: IntArray, now: int, half_life_days: float) -> Float64Array:
    """(n,) 2^(−age / half_life_days) of times in unix seconds; 1 for what is later than `now`."""
    age_days = np.maximum(now - time, 0) / DAY_SECONDS
    return np.asarray(np.exp2(-age_days / half_life_days))


def decay_by_events(num_later: IntArray, half_life_events: float | None) -> Float64Array:
    """(n,) 2^(−p / half_life_events), p being how many events are later; 1 without a half-life."""
    if half_life_events is None:
        return np.ones(len(num_later))
    return np.asarray(np.exp2(-num_later / half_life_events))


def gap_bucket(seconds: IntArray) -> IntArray:
    """(n,) ⌊log₂(1 + seconds)⌋, at most GAPS − 1."""
    bucket = np.log2(1.0 + np.maximum(seconds, 0)).astype(np.int64)
    return np.minimum(bucket, GAPS - 1)


@dataclass(frozen=True)
class EdgeWeighting:
    """How the rows of one behaviour weigh as edges.

    behavior_weight: factor of the behaviour.
    use_weights: whether the weights of the log count.
    half_life_days: of the decay by time; None for none.
    now: unix seconds, from where ages are counted back.
    half_life_events: of the decay by position; None for none.
    rank_weights: (history,) learnt factor by how many of the user's pairs are later; pairs with more
        are no edges. None for 1.
    gap_weights: (GAPS,) learnt factor by `gap_bucket` of the seconds to the user's latest pair. None
        for 1.
    """

    behavior_weight: float = 1.0
    use_weights: bool = False
    half_life_days: float | None = None
    now: int | None = None
    half_life_events: float | None = None
    rank_weights: Float32Array | None = None
    gap_weights: Float32Array | None = None

    @property
    def reads_order(self) -> bool:
        """Whether an edge weighs by its place in the history."""
        recency = (self.half_life_events, self.rank_weights, self.gap_weights)
        return any(setting is not None for setting in recency)

    def of_places(self, num_later: IntArray, gap: IntArray | None) -> Float64Array:
        """(n,) factor by the place in the history; 0 where a pair is no edge.

        num_later: how many of the user's pairs are later. gap: seconds to the latest of them; None
        without times.
        """
        factors = decay_by_events(num_later, self.half_life_events)
        if self.rank_weights is not None:
            by_rank = np.append(self.rank_weights.astype(np.float64), 0.0)
            factors = factors * by_rank[np.minimum(num_later, len(by_rank) - 1)]
        if self.gap_weights is not None and gap is not None:
            factors = factors * self.gap_weights[gap_bucket(gap)].astype(np.float64)
        return factors

    def of_rows(self, weight: Float32Array, moments: IntArray | None) -> Float64Array:
        """(n,) w_b · weight · 2^(−age / half_life_days), before the decay by position.

        moments: (n,) unix seconds; None for a log without a clock.
        """
        values = np.full(len(weight), self.behavior_weight)
        if self.use_weights:
            values *= weight
        if moments is not None and self.now is not None and self.half_life_days is not None:
            values *= decay_by_days(moments, self.now, self.half_life_days)
        return values


@dataclass(frozen=True)
class WeightedHistories:
    """Histories as scores read them, a row for each user.

    items: (users, items) float32, what each item of a history weighs.
    auxiliary: by behaviour beside the target, (users, items) with an entry for each item of a user
        under it.
    """

    items: sparse.csr_matrix
    auxiliary: Mapping[str, sparse.csr_matrix]

    def of(self, users: IntArray) -> "WeightedHistories":
        """The rows of `users`."""
        auxiliary = {name: matrix[users] for name, matrix in self.auxiliary.items()}
        return WeightedHistories(self.items[users], auxiliary)


@dataclass(frozen=True)
class UserHistories:
    """What users did: the rows of a user together, oldest first.

    indptr: (users + 1,) where the rows of each user begin and end.
    item: (n,) internal ids.
    behavior: (n,) index into `behaviors`.
    weight: (n,) weights of the log.
    time: (n,) what came after what; None for a log without times, whose rows keep their order.
    behaviors: names.
    num_items: number of items that there are.
    time_kind: of `time`: unix seconds, or an order.
    """

    indptr: Int64Array
    item: IntArray
    behavior: IntArray
    weight: Float32Array
    time: Int64Array | None
    behaviors: tuple[str, ...]
    num_items: int
    time_kind: TimeKind = "seconds"

    @property
    def num_users(self) -> int:
        return len(self.indptr) - 1

    @property
    def moments(self) -> Int64Array | None:
        """(n,) unix seconds; None for a log without a clock."""
        return self.time if self.time_kind == "seconds" else None

    def __len__(self) -> int:
        return len(self.item)

    @cached_property
    def user(self) -> Int64Array:
        """(n,) the user of each row."""
        return np.repeat(np.arange(self.num_users), np.diff(self.indptr))

    def of_user(self, user: int) -> "UserHistories":
        """The history of one user alone."""
        start, stop = int(self.indptr[user]), int(self.indptr[user + 1])
        return replace(
            self,
            indptr=np.array([0, stop - start]),
            item=self.item[start:stop],
            behavior=self.behavior[start:stop],
            weight=self.weight[start:stop],
            time=None if self.time is None else self.time[start:stop],
        )

    def of_users(self, users: IntArray) -> "UserHistories":
        """The histories of some users, in their order."""
        starts, lengths = self.indptr[users], np.diff(self.indptr)[users]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        # the rows of each user are a run from its start
        rows = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
        return replace(
            self,
            indptr=indptr,
            item=self.item[rows],
            behavior=self.behavior[rows],
            weight=self.weight[rows],
            time=None if self.time is None else self.time[rows],
        )

    def under(self, behaviors: Collection[str]) -> BoolArray:
        """(n,) which rows are of these behaviours."""
        numbers = [number for number, name in enumerate(self.behaviors) if name in behaviors]
        return np.isin(self.behavior, numbers)

    def items_under(self, behaviors: Collection[str]) -> list[IntArray]:
        """Of each user the items under some behaviours, ascending."""
        rows = np.flatnonzero(self.under(behaviors))
        user, item = np.divmod(distinct(self._pair(rows)), self.num_items)
        ends = np.searchsorted(user, np.arange(1, self.num_users))
        return np.split(item.astype(np.int32), ends)

    def matrix(self, behavior: str) -> sparse.csr_matrix:
        """(users, items) float32, 1 for each item of a user under a behaviour."""
        rows = self.under((behavior,))
        matrix = self._matrix(rows, np.ones(int(rows.sum()), np.float32))
        matrix.data[:] = 1.0
        return matrix

    def latest_rows(self, behaviors: Collection[str]) -> Int64Array:
        """Of each pair of user and item under these behaviours the latest row, in order."""
        rows = np.flatnonzero(self.under(behaviors))
        pairs = self._pair(rows)
        if len(distinct(pairs)) == len(rows):
            return rows
        _, from_the_end = np.unique(pairs[::-1], return_index=True)
        latest: Int64Array = rows[np.sort(len(rows) - 1 - from_the_end)]
        return latest

    def num_later(self, latest: Int64Array) -> Int64Array:
        """(m,) of each of the `latest_rows`, how many of the user's are later."""
        user = self.user[latest]
        counts = np.bincount(user, minlength=self.num_users)
        last = np.cumsum(counts)[user] - 1
        later: Int64Array = last - np.arange(len(latest))
        return later

    def latest(self, behavior: str) -> sparse.csr_matrix:
        """(users, items) float32, 1 at the latest item of each user under a behaviour."""
        rows = self.latest_rows((behavior,))
        last = rows[self.num_later(rows) == 0]
        return self._matrix_of(last, np.ones(len(last))).astype(np.float32)

    def item_weights(
        self, behavior_weights: Mapping[str, float], half_life_events: float | None = None
    ) -> sparse.csr_matrix:
        """(users, items) float32, what each item of a history weighs.

        Of an item under several behaviours the largest weight counts, at the latest position. Raises
        UsageError for a half-life when the log has no times.
        """
        if half_life_events is not None and self.time is None:
            raise _needs_times(half_life_events)
        latest = self.latest_rows(behavior_weights)
        weights = self._largest_weights(latest, behavior_weights)
        weights *= decay_by_events(self.num_later(latest), half_life_events)
        return self._matrix_of(latest, weights).astype(np.float32)

    def _largest_weights(
        self, latest: Int64Array, behavior_weights: Mapping[str, float]
    ) -> Float64Array:
        """(m,) of the `latest_rows` of some behaviours, the largest weight that the pair has."""
        if len(behavior_weights) == 1:
            [weight] = behavior_weights.values()
            return np.full(len(latest), weight)
        pairs = self._pair(latest)
        order = np.argsort(pairs)
        sorted_pairs = pairs[order]
        weights = np.zeros(len(latest))
        for behavior, weight in behavior_weights.items():
            rows = np.flatnonzero(self.under((behavior,)))
            positions = order[np.searchsorted(sorted_pairs, self._pair(rows))]
            weights[positions] = np.maximum(weights[positions], weight)
        return weights

    def _pair(self, rows: Int64Array) -> Int64Array:
        """(n,) user and item of some rows as one number."""
        pair: Int64Array = self.user[rows] * self.num_items + self.item[rows]
        return pair

    def weighted(
        self,
        behavior_weights: Mapping[str, float],
        half_life_events: float | None,
        auxiliary: Collection[str],
    ) -> WeightedHistories:
        """What scores read; `auxiliary`: behaviours whose items are told apart."""
        items = self.item_weights(behavior_weights, half_life_events)
        return WeightedHistories(items, {name: self.matrix(name) for name in auxiliary})

    def edge_weights(self, behavior: str, weighting: EdgeWeighting) -> sparse.csr_matrix:
        """(users, items) float32 weights of the edges of a behaviour, all above 0."""
        rows = self.under((behavior,))
        moments = None if self.moments is None else self.moments[rows]
        # w_b · Σ weight · 2^(−age / half_life_days) over the rows of a pair
        edges = self._matrix(rows, weighting.of_rows(self.weight[rows], moments))
        # The model takes the logarithm of weights: none may round to 0 or to infinity.
        edges.data = edges.data.clip(_FLOAT32.tiny, _FLOAT32.max)
        edges = edges.astype(np.float32)
        return self.placed_edges(edges, behavior, weighting)

    def placed_edges(
        self, edges: sparse.csr_matrix, behavior: str, weighting: EdgeWeighting
    ) -> sparse.csr_matrix:
        """(users, items) float32 edges of one behaviour times what their places in the history make
        of them; those that the weighting leaves out are gone.

        edges: with an entry for every pair of the behaviour; as they are without an order. Raises
        UsageError for a decay by position when the log has no times.
        """
        if not weighting.reads_order:
            return edges
        if self.time is None:
            raise _needs_times(weighting.half_life_events)
        latest = self.latest_rows((behavior,))
        num_later = self.num_later(latest)
        gap = self._seconds_to_latest(latest, weighting.now)
        factors = weighting.of_places(num_later, gap)
        # The entries of `edges` in the order of the rows: both have one for every pair.
        pairs = self._matrix_of(latest, factors)
        weights = edges.data * pairs.data
        is_edge = pairs.data > 0
        weights = np.where(is_edge, np.maximum(weights, _FLOAT32.tiny), 0.0).astype(np.float32)
        placed = sparse.csr_matrix(
            (weights, edges.indices.copy(), edges.indptr.copy()), shape=edges.shape
        )
        placed.eliminate_zeros()
        return placed

    def _seconds_to_latest(self, rows: Int64Array, now: int | None) -> Int64Array:
        """(m,) of some rows, oldest first, the seconds to the latest of the user's among them.

        Events that name no time are as late as `now`, or the user's latest time that is known.
        """
        assert self.time is not None
        time = self.time[rows]
        user = self.user[rows]
        is_known = time < NOW
        latest_known = np.full(self.num_users, now or 0, np.int64)
        np.maximum.at(latest_known, user[is_known], time[is_known])
        time = np.minimum(time, latest_known[user])
        last = np.cumsum(np.bincount(user, minlength=self.num_users)) - 1
        gap: Int64Array = time[last[user]] - time
        return gap

    def _matrix_of(self, rows: Int64Array, values: Float64Array) -> sparse.csr_matrix:
        """(users, items) the values of some rows, in order and one a pair; zeros stay entries."""
        shape = (self.num_users, self.num_items)
        counts = np.bincount(self.user[rows], minlength=self.num_users)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        # Sorted in place, and the values are the caller's.
        matrix = sparse.csr_matrix((values.copy(), self.item[rows], indptr), shape=shape)
        matrix.sort_indices()
        return matrix

    def _matrix(self, rows: BoolArray, values: NDArray[np.floating]) -> sparse.csr_matrix:
        """(users, items) the values of some rows, those of a pair summed; indices ascending."""
        shape = (self.num_users, self.num_items)
        ends = (self.user[rows], self.item[rows])
        matrix = sparse.coo_matrix((values, ends), shape=shape).tocsr()
        matrix.sort_indices()
        return matrix


def _needs_times(half_life_events: float | None) -> UsageError:
    if half_life_events is None:
        return UsageError(
            "weights by the order of events need a log with times",
            "Train with model.recency = false",
        )
    return UsageError(
        f"a half-life of {half_life_events:g} events needs a log with times",
        "Leave the half-life out",
    )


def user_histories(interactions: Interactions) -> UserHistories:
    """The histories of all users of a phase; rows of one moment by item, then behaviour."""
    log = interactions
    keys: tuple[IntArray, ...] = (log.user,)
    if log.time is not None:
        keys = (log.user, log.time, log.item, log.behavior)
    # Logs are written in this order: their arrays are taken as they are.
    order: slice | Int64Array = slice(None)
    if not _is_sorted(keys):
        order = np.lexsort(keys[::-1])
    counts = np.bincount(log.user, minlength=log.num_users)
    return UserHistories(
        indptr=np.concatenate([[0], np.cumsum(counts)]),
        item=log.item[order],
        behavior=log.behavior[order],
        weight=log.weight[order],
        time=None if log.time is None else log.time[order],
        behaviors=log.behaviors,
        num_items=log.num_items,
        time_kind=log.time_kind,
    )


def _is_sorted(keys: Sequence[IntArray]) -> bool:
    """Whether rows rise by their first key, those of equal ones by the next."""
    first = keys[0]
    is_equal = np.ones(max(len(first) - 1, 0), bool)
    for key in keys:
        falls = key[1:] < key[:-1]
        if (is_equal & falls).any():
            return False
        is_equal &= key[1:] == key[:-1]
    return True


def stacked(histories: Sequence[UserHistories]) -> UserHistories:
    """Users of several histories of the same kind, those of each behind those of the one before; at
    least one.
    """
    first = histories[0]
    lengths = np.concatenate([np.diff(history.indptr) for history in histories])
    times = [history.time for history in histories if history.time is not None]
    return replace(
        first,
        indptr=np.concatenate([[0], np.cumsum(lengths)]),
        item=np.concatenate([history.item for history in histories]),
        behavior=np.concatenate([history.behavior for history in histories]),
        weight=np.concatenate([history.weight for history in histories]),
        time=np.concatenate(times) if times else None,
    )


def no_history(behaviors: tuple[str, ...], num_items: int, has_times: bool) -> UserHistories:
    """The history of one user who did nothing yet."""
    return UserHistories(
        indptr=np.zeros(2, np.int64),
        item=np.empty(0, np.int32),
        behavior=np.empty(0, np.int16),
        weight=np.empty(0, np.float32),
        time=np.empty(0, np.int64) if has_times else None,
        behaviors=behaviors,
        num_items=num_items,
    )


def single_events(like: UserHistories, items: IntArray, behavior: str) -> UserHistories:
    """A visitor for each of some items, who has this item alone, by an event of just now.

    like: histories whose behaviours, items and kind of times these have.
    """
    count = len(items)
    number = like.behaviors.index(behavior)
    return replace(
        like,
        indptr=np.arange(count + 1),
        item=np.asarray(items, np.int32),
        behavior=np.full(count, number, np.int16),
        weight=np.ones(count, np.float32),
        time=None if like.time is None else np.full(count, NOW),
    )

"""What users did before each of their pairs: the neighbours that a user of the family "history" is
made of.
"""

from typing import NamedTuple

import numpy as np
import torch

from recsys.core.arrays import Float32Array, Int64Array, IntArray
from recsys.core.history import UserHistories, gap_bucket, user_histories
from recsys.core.interactions import Interactions
from recsys.core.ordering import order_in_rows
from recsys.graph.draw import draw_from_runs
from recsys.graph.schema import (
    USER,
    Adjacency,
    Block,
    EdgeType,
    Graph,
    Messages,
    Places,
    source_degrees,
)


class _Runs(NamedTuple):
    """A stretch of a list for each of some users.

    start: (n,) first position.
    length: (n,).
    hole: (n,) position within the stretch that is left out, already taken off `length`; −1 for none.
    """

    start: Int64Array
    length: Int64Array
    hole: Int64Array


class _Events:
    """The rows of one relation into users, those of a user together.

    Of a behaviour with times they are oldest first; others come as the graph has them.

    indptr: (users + 1,). source: (rows,). log_weight is that of the graph's edges.
    moment: (rows,) unix seconds; None for a relation without an order.
    """

    def __init__(
        self, indptr: Int64Array, source: IntArray, weight: Float32Array, moment: Int64Array | None
    ) -> None:
        self.indptr = indptr
        self.source = source.astype(np.int32)
        self.weight = weight
        self.moment = moment

    @staticmethod
    def of_graph(adjacency: Adjacency) -> "_Events":
        indptr = adjacency.indptr.numpy().astype(np.int64)
        return _Events(indptr, adjacency.indices.numpy(), adjacency.weight.numpy(), None)

    @staticmethod
    def of_behavior(adjacency: Adjacency, histories: UserHistories, behavior: str) -> "_Events":
        """The graph's edges in the order of the histories."""
        edges = _Events.of_graph(adjacency)
        assert histories.time is not None
        rows = histories.latest_rows((behavior,))
        item = histories.item[rows]
        # Both have one row for every pair; the graph's lie by user and item.
        by_pair = order_in_rows(edges.indptr, item, adjacency.num_src)
        weight = np.empty(len(rows), np.float32)
        weight[by_pair] = edges.weight
        return _Events(edges.indptr, item, weight, histories.time[rows])


class HistoryBlocks:
    """Blocks of users with the neighbours that they had at some moment.

    Events of behaviours have an order where the log has times: of a pair that is to be predicted,
    neighbours are the `history` latest events from before it; where there are none, other events of
    the very same moment. Without times they are a draw of `history` of the user's others.

    Args:
        graph: of the phase.
        interactions: of the phase; their times are the order.
        history: neighbours a user and relation.
        recency: false sees a set even where there are times.
        horizon: of the events before a pair, a draw of up to `horizon` − 1 of the latest is left
            out; one stays, where there is one.
        behaviors: by relation into users, the behaviour whose events it holds.
    """

    def __init__(
        self,
        graph: Graph,
        interactions: Interactions,
        history: int,
        recency: bool,
        behaviors: dict[EdgeType, str],
        horizon: int = 1,
    ) -> None:
        self._history = history
        self._horizon = horizon
        self._into_users = graph.reverse(graph.target)
        self._events: dict[EdgeType, _Events] = {}
        self._degrees = {}
        self._num_items = interactions.num_items
        histories = user_histories(interactions)
        self._has_clock = histories.moments is not None
        has_order = recency and histories.time is not None
        for relation, adjacency in graph.relations.items():
            if relation[2] != USER:
                continue
            if has_order and relation in behaviors:
                events = _Events.of_behavior(adjacency, histories, behaviors[relation])
            else:
                events = _Events.of_graph(adjacency)
            self._events[relation] = events
            self._degrees[relation] = source_degrees(adjacency)
        self._pair_rows = self._rows_of_pairs()

    @property
    def num_pairs(self) -> int:
        """Pairs of the target behaviour."""
        return len(self._pair_rows)

    def before(
        self,
        pairs: Int64Array,
        users: Int64Array,
        key: tuple[int, ...],
        wanted: slice = slice(None),
    ) -> Block:
        """The block of the users of some pairs as they were before these.

        Args:
            pairs: (n,) number of each pair, by user and item.
            users: (n,) whose pairs they are; a user may stand there several times.
            key: of the draws, which are those of all pairs.
            wanted: the pairs of whose users the block is; all of them by default.
        """
        own_rows = self._pair_rows[pairs]
        own_moment = self._events[self._into_users].moment
        moments = None if own_moment is None else own_moment[own_rows]
        draw = np.random.default_rng(key)
        skipped = draw.integers(0, self._horizon, len(users))
        messages = {}
        for number, (relation, events) in enumerate(self._events.items()):
            # Neighbours without an order are drawn for all pairs at once.
            rows = wanted if events.moment is not None else slice(None)
            own = own_rows[rows] if relation == self._into_users else None
            at = None if moments is None else moments[rows]
            runs = self._runs(events, users[rows], at, own, skipped[rows])
            key_of_relation = (*key, number)
            messages[relation] = self._messages(relation, events, runs, key_of_relation, wanted)
        return _block(users[wanted], messages)

    def now(self, users: Int64Array) -> Block:
        """The block of some users with all that they did: the latest `history` events where there is
        an order.
        """
        messages = {}
        for relation, events in self._events.items():
            start = events.indptr[users]
            length = events.indptr[users + 1] - start
            runs = _Runs(start, length, np.full(len(users), -1))
            messages[relation] = self._messages(relation, events, runs, None)
        return _block(users, messages)

    def _rows_of_pairs(self) -> Int64Array:
        """(pairs,) where each pair of the target behaviour, by user and item, stands in its list."""
        events = self._events[self._into_users]
        return order_in_rows(events.indptr, events.source, self._num_items).astype(np.int64)

    def _runs(
        self,
        events: _Events,
        users: Int64Array,
        moments: Int64Array | None,
        own: Int64Array | None,
        skipped: Int64Array,
    ) -> _Runs:
        """What users may know of a relation before their pairs.

        Args:
            events: of the relation.
            users: (n,).
            moments: (n,) of the pairs; None without an order.
            own: (n,) rows of the pairs themselves, where the relation is theirs.
            skipped: (n,) how many of their latest events they do not know of.
        """
        start, stop = events.indptr[users], events.indptr[users + 1]
        hole = np.full(len(users), -1)
        if events.moment is None or moments is None:
            if own is not None:
                hole = own - start
            return _Runs(start, stop - start - (hole >= 0), hole)
        end = _first_not_before(events.moment, start, stop, moments)
        if own is not None:
            # First of all, others of the same moment stand in for what came before.
            alone = end == start
            same = _first_not_before(events.moment, start, stop, moments + 1)
            end = np.where(alone, same, end)
            hole = np.where(alone, own - start, -1)
            fewer = np.maximum(end - skipped, np.minimum(start + 1, end))
            end = np.where(alone, end, fewer)
        return _Runs(start, end - start - (hole >= 0), hole)

    def _messages(
        self,
        relation: EdgeType,
        events: _Events,
        runs: _Runs,
        key: tuple[int, ...] | None,
        wanted: slice = slice(None),
    ) -> Messages:
        """Edges from a draw of each run: the latest where there is an order, all without a key.

        Args:
            relation: of the edges.
            events: of the relation.
            runs: what users may know of.
            key: of the draw.
            wanted: the runs whose draw is kept; where there is an order, `runs` are these alone.
        """
        has_order = events.moment is not None
        if has_order:
            count = np.minimum(runs.length, self._history)
            first = runs.start + runs.length - count
            position = _ranges(first, count)
            rank = _ranges(np.zeros(len(count), np.int64), count)
            rank = np.repeat(count, count) - 1 - rank
        elif key is None:
            count = runs.length
            position = _ranges(runs.start, count)
        else:
            drawn = draw_from_runs(runs.start, runs.length, self._history, key)
            position, count = drawn.of_rows(wanted)
            runs = _Runs(runs.start[wanted], runs.length[wanted], runs.hole[wanted])
        # From the hole on, everything stands one further.
        hole = np.repeat(
            np.where(runs.hole < 0, np.iinfo(np.int64).max, runs.start + runs.hole), count
        )
        position = position + (position >= hole)
        places = None
        if events.moment is not None:
            gap = None
            if self._has_clock:
                moment = events.moment[position]
                latest = np.repeat(_largest(moment, count), count)
                gap = torch.from_numpy(gap_bucket(latest - moment))
            places = Places(torch.from_numpy(rank), gap)
        indptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        adjacency = Adjacency(
            torch.from_numpy(indptr),
            torch.from_numpy(events.source[position]),
            torch.from_numpy(events.weight[position]),
            len(self._degrees[relation]),
        )
        return Messages(
            adjacency,
            self._degrees[relation],
            torch.from_numpy(count.astype(np.float32)),
            row_scale=torch.ones(len(count)),
            places=places,
        )


def _block(users: Int64Array, messages: dict[EdgeType, Messages]) -> Block:
    return Block({USER: torch.from_numpy(users)}, {USER: len(users)}, messages)


def _first_not_before(
    moment: Int64Array, start: Int64Array, stop: Int64Array, before: Int64Array
) -> Int64Array:
    """(n,) first position of each run, start … stop − 1, whose moment is not before the given one;
    the run's end where there is none. Moments ascend within a run: a binary search of all at once.
    """
    low, high = start.copy(), stop.copy()
    while (low < high).any():
        middle = (low + high) // 2
        is_before = (low < high) & (moment[np.minimum(middle, len(moment) - 1)] < before)
        low = np.where(is_before, middle + 1, low)
        high = np.where(is_before, high, np.minimum(middle, high))
    return low


def _ranges(start: Int64Array, count: Int64Array) -> Int64Array:
    """start[r], …, start[r] + count[r] − 1 of every row, one after the other."""
    begin = np.cumsum(count) - count
    positions: Int64Array = np.repeat(start - begin, count) + np.arange(int(count.sum()))
    return positions


def _largest(values: Int64Array, count: Int64Array) -> Int64Array:
    """(rows,) the largest value of each row; 0 of an empty one."""
    largest = np.zeros(len(count), np.int64)
    present = count > 0
    begin = np.cumsum(count) - count
    if present.any():
        largest[present] = np.maximum.reduceat(values, begin[present])
    return largest

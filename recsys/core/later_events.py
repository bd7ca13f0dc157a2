"""The history of one user extended by later events, as the log would hold it after cleaning."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Int64Array
from recsys.core.history import NOW, UserHistories
from recsys.core.interactions import BEHIND_ORDER

Duplicates = Literal["first", "last", "sum"]
"""What is kept of rows of the same user, item and behaviour: `clean.duplicates`."""


class HistoryEvent(NamedTuple):
    """A later event of one user.

    item: internal id.
    behavior: its name.
    weight: as in the log.
    time: unix seconds; None means now. Behind a log with an order, it orders the events alone.
    """

    item: int
    behavior: str
    weight: float = 1.0
    time: int | None = None


def extended(
    history: UserHistories, events: Sequence[HistoryEvent], duplicates: Duplicates
) -> UserHistories:
    """The history of one user with later events; the very same when they change nothing.

    A repeated pair of item and behaviour stays as it first was ("first"), is replaced ("last"), or
    gains weight where it first stood ("sum"). Rows of one moment come by item, then behaviour.
    A log with an order has no moments: all events are later than its rows.
    """
    rows = _with_events(history, events)
    order = _by_pair(rows)
    pair = _pairs(rows)[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = pair[1:] != pair[:-1]
    chosen = order[_is_last(is_first)] if duplicates == "last" else order[is_first]
    repeats_count = duplicates == "sum" and len(chosen) < len(order)
    if len(chosen) == len(history) and chosen.max(initial=-1) < len(history) and not repeats_count:
        return history
    if repeats_count:
        starts = np.flatnonzero(is_first)
        total = np.add.reduceat(rows.weight[order].astype(np.float64), starts)
        weight = rows.weight.copy()
        weight[chosen] = total.astype(np.float32)
        rows = replace(rows, weight=weight)
    return _in_order(rows, chosen)


def _with_events(history: UserHistories, events: Sequence[HistoryEvent]) -> UserHistories:
    """The events behind the rows, as they were given."""
    numbers = {name: number for number, name in enumerate(history.behaviors)}
    item = np.array([event.item for event in events], np.int32)
    behavior = np.array([numbers[event.behavior] for event in events], np.int16)
    weight = np.array([event.weight for event in events], np.float32)
    time = None
    if history.time is not None:
        behind = BEHIND_ORDER if history.time_kind == "order" else 0
        time = np.concatenate([history.time, _times(events, behind)])
    return replace(
        history,
        indptr=np.array([0, len(history) + len(events)]),
        item=np.concatenate([history.item, item]).astype(np.int32),
        behavior=np.concatenate([history.behavior, behavior]).astype(np.int16),
        weight=np.concatenate([history.weight, weight]).astype(np.float32),
        time=time,
    )


def _times(events: Sequence[HistoryEvent], behind: int) -> Int64Array:
    """(n,) of each event, the times that are given shifted by `behind`."""
    times = np.empty(len(events), np.int64)
    for number, event in enumerate(events):
        times[number] = NOW + number if event.time is None else behind + event.time
    return times


def _pairs(rows: UserHistories) -> Int64Array:
    """(n,) a number for each pair of item and behaviour."""
    return rows.item.astype(np.int64) * len(rows.behaviors) + rows.behavior


def _by_pair(rows: UserHistories) -> Int64Array:
    """Row numbers by pair, those of a pair from the oldest on; the row given first among equals."""
    number = np.arange(len(rows))
    time = number if rows.time is None else rows.time
    return np.lexsort((number, time, _pairs(rows)))


def _is_last(is_first: BoolArray) -> BoolArray:
    """The last of each run, from the first of each."""
    return np.append(is_first[1:], True)[: len(is_first)]


def _in_order(rows: UserHistories, chosen: Int64Array) -> UserHistories:
    """The chosen rows, oldest first."""
    if rows.time is None:
        order = np.sort(chosen)
    else:
        keys = rows.behavior[chosen], rows.item[chosen], rows.time[chosen]
        order = chosen[np.lexsort(keys)]
    return replace(
        rows,
        indptr=np.array([0, len(order)]),
        item=rows.item[order],
        behavior=rows.behavior[order],
        weight=rows.weight[order],
        time=None if rows.time is None else rows.time[order],
    )

"""The latest events of each user in memory, read from the end of the log as it grows.

Bounded: so many events of a user, so many of all, none that is too old. An event is packed into 17 bytes
beside its user's others, so that a million users take about 200 MB.
"""

import struct
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import orjson

from recsys.core.tables import BEHAVIOR, EVENT_ID, ITEM_ID, TIME, USER_ID, WEIGHT
from recsys.lookup.histories import Event
from serving.logs import LOG
from serving.row_log import RecentNames, Tail

KEPT_PER_USER = 1000
MOST_EVENTS = 2_000_000
LOG_BYTES = 256 << 20
"""Of the end of the log that a service reads when it starts."""

_EVENT = struct.Struct("<IBdf")  # numbers of item and behaviour, time, weight
_EARLIEST_CLOCK = 1e8  # unix seconds of 1973: smaller times are places in an order, and have no age
_SECONDS_A_DAY = 86_400


class LiveEvents:
    """Threads may share it. path: None for a service that takes no events. days: that an event stays."""

    def __init__(self, path: Path | None, days: float = 30.0) -> None:
        self.path = path
        self.broken_lines = 0
        self._seconds = days * _SECONDS_A_DAY
        self._lock = threading.Lock()
        self._tail = None if path is None else Tail(path, LOG_BYTES)
        self._begin()

    def __len__(self) -> int:
        """How many are held."""
        return self._num_events

    def refresh(self) -> None:
        """Read what any process has appended since; begin anew where the file was replaced."""
        if self._tail is None:
            return
        with self._lock:
            has_grown = False
            for line in self._tail.read(self._begin):
                self._take(line)
                has_grown = True
            if has_grown:
                self._expire()

    def of(self, user: str | None) -> tuple[Event, ...]:
        """Oldest first; nothing for somebody without events."""
        if user is None:
            return ()
        with self._lock:
            packed = self._users.get(user, b"")
            return tuple(self._unpacked(packed))

    def has_seen(self, event_id: str) -> bool:
        """Whether an event with this id is in the log, as far as ids are remembered."""
        with self._lock:
            return event_id in self._ids

    def known(self, event_ids: Collection[str]) -> set[str]:
        """Which of some ids are in the log, as far as ids are remembered; what any process has
        appended is read first.
        """
        self.refresh()
        return {event_id for event_id in event_ids if self.has_seen(event_id)}

    def _begin(self) -> None:
        """Nothing is known."""
        self._users: dict[str, bytes] = {}  # the user of the latest event is the last
        self._ids = RecentNames()
        self._items: list[str] = []
        self._item_numbers: dict[str, int] = {}
        self._behaviors: dict[str | None, int] = {}
        self._num_events = 0

    def _take(self, line: bytes) -> None:
        try:
            row: dict[str, Any] = orjson.loads(line)
            user = str(row[USER_ID])
            packed = _EVENT.pack(
                self._number_of(str(row[ITEM_ID])),
                self._behaviors.setdefault(row.get(BEHAVIOR), len(self._behaviors)),
                float(row[TIME]),
                float(row.get(WEIGHT, 1.0)),
            )
        except (ValueError, KeyError, TypeError, struct.error):
            self.broken_lines += 1
            LOG.warning(
                "line %d of those in %s that are no events: %.200r",
                self.broken_lines,
                self.path,
                line,
            )
            return
        if EVENT_ID in row:
            self._ids.add(str(row[EVENT_ID]))
        before = self._users.pop(user, b"")
        after = (before + packed)[-KEPT_PER_USER * _EVENT.size :]
        self._users[user] = after
        self._num_events += (len(after) - len(before)) // _EVENT.size
        while self._num_events > MOST_EVENTS:
            self._drop_earliest()

    def _number_of(self, item: str) -> int:
        number = self._item_numbers.setdefault(item, len(self._items))
        if number == len(self._items):
            self._items.append(item)
        return number

    def _expire(self) -> None:
        """Drop users whose last event is too old, from the one who was heard of longest ago."""
        while self._users:
            packed = next(iter(self._users.values()))
            _, _, moment, _ = _EVENT.unpack(packed[-_EVENT.size :])
            if not self._is_old(moment):
                return
            self._drop_earliest()

    def _drop_earliest(self) -> None:
        packed = self._users.pop(next(iter(self._users)))
        self._num_events -= len(packed) // _EVENT.size

    def _unpacked(self, packed: bytes) -> Iterator[Event]:
        behaviors = tuple(self._behaviors)
        for item, behavior, moment, weight in _EVENT.iter_unpack(packed):
            if not self._is_old(moment):
                yield Event(self._items[item], behaviors[behavior], moment, weight)

    def _is_old(self, moment: float) -> bool:
        return _EARLIEST_CLOCK < moment < time.time() - self._seconds

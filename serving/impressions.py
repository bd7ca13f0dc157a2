"""What was shown of answers, on disk: JSON lines as the events', each impression once."""

import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import ClassVar, TypedDict

from recsys.core.tables import ANSWER, ITEMS
from serving.row_log import RecentNames, RowLog, Tail, read_row

FILE = "impressions.jsonl"
"""Of a run folder."""

_READ_BYTES = 64 << 20


class ImpressionRow(TypedDict):
    """One line. items, places: what was shown where, from 1. timestamp: unix seconds."""

    answer: str
    user_id: str
    timestamp: int
    items: list[str]
    places: list[int]


class ImpressionLog(RowLog[ImpressionRow]):
    """Appends impressions durably. The same items of the same answer are one impression; others of it,
    shown later, are another.
    """

    things: ClassVar[str] = "impressions"

    def __init__(self, path: Path) -> None:
        self._recent = _RecentImpressions(path)
        super().__init__(path, self._recent.known)

    def name_of(self, row: ImpressionRow) -> str | None:
        return _name(row["answer"], row["items"])


class _RecentImpressions:
    """Which impressions are in the file, as far as they are remembered. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path, _READ_BYTES)
        self._names = RecentNames()
        self._lock = threading.Lock()

    def known(self, names: Collection[str]) -> set[str]:
        with self._lock:
            for line in self._tail.read(self._begin):
                row = read_row(line)
                if row is not None:
                    self._names.add(_name(str(row.get(ANSWER)), row.get(ITEMS) or ()))
            return {name for name in names if name in self._names}

    def _begin(self) -> None:
        self._names = RecentNames()


def _name(answer: str, items: Iterable[object]) -> str:
    return "\0".join([answer, *sorted(map(str, items))])

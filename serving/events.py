"""Live events: one append-only file of JSON lines that the workers of a host share, in the columns
of a log.

The next answers fold in what was appended, and the next batch run reads the file as one more log.
An event is acknowledged when it is on disk: neither a kill nor a crash loses it.
"""

import errno
import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import orjson

from recsys.core.artefacts import fsync
from recsys.core.errors import MachineError
from recsys.core.tables import BEHAVIOR, ITEM_ID, TIME, USER_ID, WEIGHT
from recsys.lookup.histories import Event

_LOG = logging.getLogger("recsys.serving")

KEPT_PER_USER = 1000
_TAIL_BYTES = 1 << 16


class Row(TypedDict):
    """One line. Columns that the log of the run lacks are left out, so that both can be read as
    one.
    """

    user_id: str
    item_id: str
    timestamp: int
    behavior: NotRequired[str]
    weight: NotRequired[float]


class EventLog:
    """Appends rows durably. Several processes may hold one each for the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Sequence[Row]) -> None:
        """On disk when this returns. Raises MachineError when the disk refuses; then no row of
        these is in the file.
        """
        documents = [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]
        lines = b"".join(documents)
        try:
            with self._locked() as log:
                end = _whole_bytes(log)
                os.ftruncate(log, end)  # a line torn by a crash was never acknowledged
                try:
                    _write(log, lines)
                    os.fsync(log)
                except OSError:
                    os.ftruncate(log, end)
                    raise
        except OSError as error:
            raise MachineError(
                f"events cannot be written to {str(self.path)!r}: {os.strerror(error.errno or errno.EIO)}",
                "None of them was taken: free some space or mend the disk, and send them again",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open for reading and appending, while no other process writes to it."""
        lock = os.open(
            self.path.with_name(f".{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o640
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fresh = not self.path.exists()
            log = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o640)
            try:
                yield log
                if fresh:
                    fsync(self.path.parent)
            finally:
                os.close(log)
        finally:
            os.close(lock)


class LiveEvents:
    """The latest events of each user, read from the end of the file as it grows. Threads may share
    it.

    path: None for a service that takes no events.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.broken_lines = 0
        self._users: dict[str, deque[Event]] = {}
        self._file = 0
        self._read_bytes = 0
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Read what any process has appended since; begin anew where the file was replaced."""
        if self.path is None:
            return
        with self._lock:
            try:
                facts = self.path.stat()
            except FileNotFoundError:
                self._begin(0)
                return
            if facts.st_ino != self._file or facts.st_size < self._read_bytes:
                self._begin(facts.st_ino)
            if facts.st_size > self._read_bytes:
                self._read(self.path)

    def of(self, user: str | None) -> tuple[Event, ...]:
        """Oldest first; nothing for somebody without events."""
        if user is None:
            return ()
        with self._lock:
            return tuple(self._users.get(user, ()))

    def _begin(self, file: int) -> None:
        """Nothing is read yet of the file with this inode."""
        self._users = {}
        self._file = file
        self._read_bytes = 0

    def _read(self, path: Path) -> None:
        with path.open("rb") as stream:
            stream.seek(self._read_bytes)
            for line in stream:
                if not line.endswith(b"\n"):  # still being written, or torn
                    return
                self._read_bytes += len(line)
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            row: dict[str, Any] = orjson.loads(line)
            item = str(row[ITEM_ID])
            weight = float(row.get(WEIGHT, 1.0))
            event = Event(item, row.get(BEHAVIOR), float(row[TIME]), weight)
            events = self._users.setdefault(str(row[USER_ID]), deque(maxlen=KEPT_PER_USER))
            events.append(event)
        except (ValueError, KeyError, TypeError):
            self.broken_lines += 1
            _LOG.warning(
                "line %d of those in %s that are no events: %.200r",
                self.broken_lines,
                self.path,
                line,
            )


def _whole_bytes(log: int) -> int:
    """Size of the file up to the end of its last whole line."""
    end = os.fstat(log).st_size
    if end and os.pread(log, 1, end - 1) == b"\n":
        return end
    while end:
        start = max(0, end - _TAIL_BYTES)
        newline = os.pread(log, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _write(log: int, lines: bytes) -> None:
    left = memoryview(lines)
    while left:
        left = left[os.write(log, left) :]

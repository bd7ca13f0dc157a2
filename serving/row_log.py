"""Append-only files of JSON lines that the workers of a host share: written durably, and read as they
grow.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import compress
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import orjson

from recsys.core.artefacts import fsync
from recsys.core.errors import MachineError
from recsys.core.json_lines import lock_of

MOST_NAMES = 200_000

_TAIL_BYTES = 1 << 16

Row = TypeVar("Row")
Known = Callable[[Collection[str]], set[str]]


class RowLog(Generic[Row]):
    """Appends rows durably. Several processes may hold one each for the same file.

    known: which of some names of rows were written before; asked while nobody else writes.
    """

    things: ClassVar[str] = "rows"

    def __init__(self, path: Path, known: Known | None = None) -> None:
        self.path = path
        self._known = known

    def name_of(self, row: Row) -> str | None:
        """What tells that a row was written before; None for one that is always new."""
        return None

    def append(self, rows: Sequence[Row], durable: bool = True) -> list[bool]:
        """On disk when this returns; of each row whether it is new: rows whose names are in the log
        already are not written again.

        durable: without, the system may write them a little later, and they outlive this process, but
        not a power cut. Raises MachineError when the disk refuses; then no row of these is in the file.
        """
        try:
            with self._locked() as log:
                is_new = self._are_new(rows)
                lines = b"".join(
                    orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
                    for row in compress(rows, is_new)
                )
                end = _whole_bytes(log)
                if os.fstat(log).st_size > end:  # a line torn by a crash was never acknowledged
                    os.ftruncate(log, end)
                try:
                    _write(log, lines)
                    if durable:
                        os.fsync(log)
                except OSError:
                    os.ftruncate(log, end)
                    raise
        except OSError as error:
            raise MachineError(
                f"{self.things} cannot be written to {str(self.path)!r}: "
                f"{os.strerror(error.errno or errno.EIO)}",
                "None of them was taken: free some space or mend the disk, and send them again",
            ) from error
        return is_new

    def _are_new(self, rows: Sequence[Row]) -> list[bool]:
        """Of each row whether its name is new; each name once."""
        names = [self.name_of(row) for row in rows]
        distinct_names = {name for name in names if name is not None}
        known: set[str] = set()
        if distinct_names and self._known is not None:
            known = self._known(distinct_names)
        is_new = []
        for name in names:
            is_new.append(name is None or name not in known)
            if name is not None:
                known.add(name)
        return is_new

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open for reading and appending, while no other process writes to it."""
        lock = os.open(lock_of(self.path), os.O_CREAT | os.O_RDWR, 0o640)
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


class Tail:
    """The lines of a file that others append to, each once. most_bytes: of the end of a long file that
    is read at first.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._start(0, 0)

    def read(self, begin: Callable[[], None]) -> Iterator[bytes]:
        """Whole lines that were appended since the last time.

        begin: called before the first of another file: the one before was replaced, or is gone.
        """
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            if self._file:
                self._start(0, 0)
                begin()
            return
        if facts.st_ino != self._file or facts.st_size < self._read_bytes:
            self._start(facts.st_ino, facts.st_size)
            begin()
        if facts.st_size > self._read_bytes:
            yield from self._lines()

    def _start(self, file: int, size: int) -> None:
        """Nothing is read yet of the file with this inode; of a long one its end will be."""
        self._file = file
        self._read_bytes = max(0, size - self._most_bytes)
        self._is_torn = self._read_bytes > 0

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            stream.seek(self._read_bytes)
            for line in stream:
                if not line.endswith(b"\n"):  # still being written, or torn
                    return
                self._read_bytes += len(line)
                if self._is_torn:  # begun in the middle of a line
                    self._is_torn = False
                else:
                    yield line


class RecentNames:
    """The latest names that were given, as hashes."""

    def __init__(self) -> None:
        self._hashes: dict[bytes, None] = {}

    def __contains__(self, name: str) -> bool:
        return _hash(name) in self._hashes

    def add(self, name: str) -> None:
        self._hashes[_hash(name)] = None
        if len(self._hashes) > MOST_NAMES:
            del self._hashes[next(iter(self._hashes))]


def read_row(line: bytes) -> dict[str, Any] | None:
    """None for a line that is no JSON object."""
    try:
        row = orjson.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _hash(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


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

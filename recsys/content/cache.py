"""Vectors that were made before, by what was encoded and who encoded it."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from recsys.core.arrays import Float32Array

_FILE = "vectors.sqlite"
_AT_ONCE = 500  # keys of one question
_PATIENCE_SECONDS = 60.0  # for another run that writes


def cache_folder(configured: str | None) -> Path:
    """Where vectors are kept: as configured, or in the user's cache folder."""
    if configured is not None:
        return Path(configured)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "recsys" / "content"


def key_of(identity: str, content: bytes) -> bytes:
    """Of one input to one encoder."""
    digest = hashlib.sha256(identity.encode())
    digest.update(b"\0")
    digest.update(content)
    return digest.digest()


class VectorCache:
    """A file that several runs may share. One that cannot be written or read is done without:
    `problem` says why, and everything is encoded.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self.problem: str | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                connection.execute(
                    "create table if not exists vectors (key blob primary key, vector blob)"
                    " without rowid"
                )
        except (OSError, sqlite3.Error) as error:
            self.problem = str(error)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Float32Array]:
        """Those that are there."""
        if self.problem is not None:
            return {}
        vectors = {}
        with self._open() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                block = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(block))
                query = f"select key, vector from vectors where key in ({marks})"
                for key, vector in connection.execute(query, block):
                    vectors[key] = np.frombuffer(vector, np.float32)
        return vectors

    def put(self, keys: Sequence[bytes], vectors: Float32Array) -> None:
        """Keep some, all or none of them."""
        if self.problem is not None:
            return
        rows = [(key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        try:
            with self._open() as connection:
                connection.executemany("insert or replace into vectors values (?, ?)", rows)
        except sqlite3.Error as error:
            self.problem = str(error)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=_PATIENCE_SECONDS)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

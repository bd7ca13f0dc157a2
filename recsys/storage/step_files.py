"""Files of steps in object storage (`core.step_files.StepFiles`), for nodes that share no folder.

An object is there whole or not at all, and the card of a folder is written last: that makes a folder
whole or absent. Each node keeps copies of what it reads, by hash, in its cache.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recsys.core.step_files import CARD, BucketFile
from recsys.storage.cache import cache_folder, require_space
from recsys.storage.store import Store

_TAKEN = "taken"
_COPIES = "steps"
_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class FilesAtUrl:
    """Below one URL, by the paths of files and folders as keys. Raises what `Store` does: an outage
    is waited for as long as `storage.store.RETRY_VARIABLE` says.
    """

    url: str
    copies = True

    def card(self, folder: Path) -> dict[str, Any] | None:
        document = self._store.read(_key(folder / CARD))
        if document is None:
            return None
        try:
            card: dict[str, Any] = json.loads(document.content)
        except ValueError:
            return None
        return card

    def write_card(self, folder: Path, card: dict[str, Any]) -> None:
        with self.writing(folder / CARD) as unfinished:
            unfinished.write_text(json.dumps(card, sort_keys=True), encoding="utf-8")

    def remove_card(self, folder: Path) -> None:
        self._store.delete([_key(folder / CARD)])

    def are_there(self, folder: Path, files: Sequence[BucketFile]) -> bool:
        """By their sizes: whoever reads one looks at its hash."""
        sizes = {entry.key: entry.bytes for entry in self._store.entries(_key(folder))}
        return all(sizes.get(_key(file.path)) == file.size for file in files)

    def at(self, file: BucketFile) -> Path | None:
        home = cache_folder(_COPIES, file.sha256)
        os.utime(home)
        copy = replace(file, path=home / file.path.name)
        if copy.is_whole():
            return copy.path
        entry = self._store.entry(_key(file.path))
        if entry is None or entry.bytes != file.size:
            return None
        require_space(home, file.size, self._store.address(entry.key))
        self._store.download(entry, copy.path)
        return copy.path if copy.is_whole() else None

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        with _scratch() as folder:
            unfinished = folder / path.name
            yield unfinished
            self._store.upload(unfinished, _key(path))

    @contextmanager
    def filling(self, folder: Path) -> Iterator[Path]:
        with _scratch() as unfinished:
            yield unfinished
            self.remove_card(folder)
            names = sorted(file.name for file in unfinished.iterdir() if file.name != CARD)
            for name in [*names, CARD]:
                self._store.upload(unfinished / name, _key(folder / name))

    def take(self, file: BucketFile, folder: Path) -> BucketFile:
        taken = replace(file, path=folder / _TAKEN / file.sha256 / file.path.name)
        entry = self._store.entry(_key(taken.path))
        if entry is None or entry.bytes != file.size:
            self._store.upload(file.path, _key(taken.path))
        return taken

    def remove(self, files: Sequence[BucketFile]) -> None:
        self._store.delete([_key(file.path) for file in files])
        for file in files:
            shutil.rmtree(cache_folder(_COPIES) / file.sha256, ignore_errors=True)

    def clear(self, pattern: str) -> None:
        keys = [entry.key for entry in self._store.entries()]
        self._store.delete([key for key in keys if fnmatch(key.partition("/")[0], pattern)])

    @property
    def _store(self) -> Store:
        return _store(self.url)


@lru_cache(maxsize=4)
def _store(url: str) -> Store:
    """Opened once by each process, which then removes copies that nobody used for a day."""
    oldest = time.time() - _KEPT_SECONDS
    for copy in cache_folder(_COPIES).iterdir():
        with suppress(FileNotFoundError):  # another process does the same
            if copy.stat().st_mtime < oldest:
                shutil.rmtree(copy)
    return Store(url)


def _key(path: Path) -> str:
    return path.as_posix()


@contextmanager
def _scratch() -> Iterator[Path]:
    """An empty folder of this process on the disk of the copies."""
    with TemporaryDirectory(dir=cache_folder("unfinished"), prefix="step-") as folder:
        yield Path(folder)

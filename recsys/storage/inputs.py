"""Inputs at URLs, brought to this machine: an object, all objects below a folder, or those that a
pattern names.

What is brought is a snapshot: a folder that never changes, named by what the store lists (keys, sizes,
etags). A later look lists again and brings only objects that are new or other; what is unchanged is
linked from the snapshot before. The two newest snapshots of a URL are kept.
"""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path

from recsys.core.artefacts import atomic_folder, exclusive, read_json, text_sha256, write_json
from recsys.core.errors import DataError
from recsys.core.progress import QUIET, Progress
from recsys.storage.cache import cache_folder, folder_name, require_space
from recsys.storage.store import Entry, Store

_AT_ONCE = 4
_KEPT = 2
_FILES, _LISTING = "files", "listing.json"


@dataclass(frozen=True)
class Snapshot:
    """What a URL named at some moment, on this machine.

    path: the file, the folder, or the pattern in the folder.
    folder: below it everything lies as below `url`.
    url: of that folder.
    brought, kept: objects that came now, and those that were here.
    brought_bytes: of those that came.
    """

    path: str
    folder: Path
    url: str
    brought: int
    kept: int
    brought_bytes: int

    def named(self, text: str) -> str:
        """A text with the URLs of the files in it rather than the names of their copies."""
        return text.replace(str(self.folder), self.url)


@dataclass(frozen=True)
class _Listing:
    """store: of the folder. pattern: of keys below it, as written; "" for all. entries: that match."""

    store: Store
    pattern: str
    entries: list[Entry]

    @property
    def name(self) -> str:
        lines = [f"{entry.key}\0{entry.bytes}\0{entry.etag}" for entry in self.entries]
        return text_sha256("\n".join(lines))[:16]


def version_of(url: str) -> str:
    """A text that is another one when what the URL names has changed. Asks the store."""
    return _listing(url, _any).name


def bring(
    url: str, wanted: Callable[[str], bool] | None = None, progress: Progress = QUIET
) -> Snapshot:
    """The snapshot of what a URL names now.

    Args:
        url: of an object, of a folder, or with a pattern (*, **, []) in its path.
        wanted: whether an object below a folder is, by its key there; all are when None.
        progress: told how many bytes come.

    Raises:
        DataError: there is nothing, or it changed while it came.
        MachineError: the store refuses or cannot be reached, or the disk is too small.
    """
    listing = _listing(url, wanted or _any)
    home = cache_folder("inputs", folder_name(url))
    lock = home / ".lock"
    with exclusive(lock, f"{home} is in use", "Wait for it", wait=True):
        target = home / listing.name
        present = _present(home, listing)
        missing = [entry for entry in listing.entries if entry.key not in present]
        if not target.exists():
            _make(target, listing, present, missing, progress)
        os.utime(target)
        _forget_older(home)
    num_bytes = sum(entry.bytes for entry in missing)
    num_kept = len(listing.entries) - len(missing)
    files = target / _FILES
    path = files / listing.pattern if listing.pattern else files
    return Snapshot(str(path), files, listing.store.url, len(missing), num_kept, num_bytes)


def _listing(url: str, wanted: Callable[[str], bool]) -> _Listing:
    scheme, _, rest = url.partition("://")
    bucket, *names = rest.split("/")
    levels = [level for level in names if level]
    plain = []
    for level in levels:
        if has_magic(level):
            break
        plain.append(level)
    root = f"{scheme}://{bucket}"
    if len(plain) < len(levels):
        return _matching(Store("/".join([root, *plain])), "/".join(levels[len(plain) :]), url)
    if levels and not url.endswith("/"):
        store = Store("/".join([root, *levels[:-1]]))
        entry = store.entry(levels[-1])
        if entry is not None:
            return _Listing(store, levels[-1], [entry])
    store = Store("/".join([root, *levels]))
    entries = [entry for entry in store.entries() if wanted(entry.key)]
    return _Listing(store, "", _required(entries, url))


def _matching(store: Store, pattern: str, url: str) -> _Listing:
    expression = _expression(pattern)
    entries = [entry for entry in store.entries() if expression.fullmatch(entry.key)]
    return _Listing(store, pattern, _required(entries, url))


def _required(entries: list[Entry], url: str) -> list[Entry]:
    if not entries:
        raise DataError(
            f"there is no file {url!r}",
            "Check the bucket and the key; a folder needs objects in it",
        )
    for entry in entries:
        if {"", ".", ".."} & set(entry.key.split("/")):
            raise DataError(
                f"{url!r} holds an object {entry.key!r}, whose name is that of no file", "Rename it"
            )
    return entries


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern of `glob` for keys."""
    text = ""
    for token in re.split(r"(\*\*/|\*\*|\*|\[[^]]*\])", pattern):
        if token == "**/":
            text += "(?:.*/)?"
        elif token == "**":
            text += ".*"
        elif token == "*":
            text += "[^/]*"
        elif token.startswith("[") and token.endswith("]"):
            text += token.replace("[!", "[^")
        else:
            text += re.escape(token)
    return re.compile(text)


def _make(
    target: Path,
    listing: _Listing,
    present: dict[str, Path],
    missing: list[Entry],
    progress: Progress,
) -> None:
    """Fill a new snapshot: links to what is here, and what comes."""
    wanted_bytes = sum(entry.bytes for entry in missing)
    what = f"{listing.store.url} ({len(missing):,} files)"
    require_space(target.parent, wanted_bytes, what)
    progress.say(
        f"bringing {len(missing):,} of {len(listing.entries):,} files, {wanted_bytes / 1e6:,.1f} MB, "
        f"from {listing.store.url}",
        files=len(missing),
        unchanged=len(present),
        bytes=wanted_bytes,
    )
    with atomic_folder(target) as folder:
        files = folder / _FILES
        for key, path in present.items():
            link = files / key
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
        told = _Told(progress, wanted_bytes)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = []
            for entry in missing:
                jobs.append(pool.submit(listing.store.download, entry, files / entry.key, told))
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        facts = [[entry.key, entry.bytes, entry.etag] for entry in listing.entries]
        write_json(folder / _LISTING, facts)


class _Told:
    """Says how much of what comes is here, at every tenth of it."""

    def __init__(self, progress: Progress, expected: int) -> None:
        self._progress = progress
        self._expected = expected
        self._done = 0
        self._tenths = 0

    def __call__(self, count: int) -> None:
        self._done += count
        tenths = 10 * self._done // max(self._expected, 1)
        if tenths > self._tenths and self._expected > 100 << 20:
            self._tenths = tenths
            self._progress.say(f"{tenths}0 % is here", done=self._done, expected=self._expected)


def _present(home: Path, listing: _Listing) -> dict[str, Path]:
    """By key, the copies of objects that have not changed since an earlier snapshot."""
    known = {}
    for snapshot in _snapshots(home):
        for key, num_bytes, etag in read_json(snapshot / _LISTING):
            if etag is not None:
                known[key, num_bytes, etag] = snapshot / _FILES / key
    present = {}
    for entry in listing.entries:
        path = known.get((entry.key, entry.bytes, entry.etag))
        if path is not None and path.is_file() and path.stat().st_size == entry.bytes:
            present[entry.key] = path
    return present


def _snapshots(home: Path) -> list[Path]:
    """Those that are whole, oldest first."""
    folders = []
    for folder in home.iterdir():
        if not folder.name.startswith(".") and (folder / _LISTING).exists():
            folders.append(folder)
    return sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)


def _forget_older(home: Path) -> None:
    unfinished = list(home.glob(".*.tmp"))
    for folder in [*_snapshots(home)[:-_KEPT], *unfinished]:
        shutil.rmtree(folder, ignore_errors=True)


def _any(_: str) -> bool:
    return True

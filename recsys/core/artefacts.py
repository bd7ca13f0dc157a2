"""Files that are whole or absent: atomic writes, content hashes, the run folder with its manifest
and lock.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.core.errors import MachineError, RecsysError, UsageError

CHUNK_BYTES = 1 << 20


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when the block ends well, else
    it is removed.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=f".tmp{path.suffix}", dir=path.parent
        )
        os.close(handle)
        unfinished = Path(name)
        try:
            yield unfinished
            unfinished.chmod(0o644)
            fsync(unfinished)
            unfinished.replace(path)
            fsync(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill; it takes the place of `path` when the block ends well, else
    it is removed.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            yield unfinished
            unfinished.chmod(0o755)
            for file in sorted(unfinished.rglob("*")):
                file.chmod(
                    0o755 if file.is_dir() else 0o644
                )  # safetensors writes files that only their owner may read
                fsync(file)
            fsync(unfinished)
            if path.exists():
                old = Path(
                    tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent)
                )
                path.replace(old / path.name)
                unfinished.replace(path)
                shutil.rmtree(old)
            else:
                unfinished.replace(path)
            fsync(path.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: Path, document: Any) -> None:
    with atomic_file(path) as unfinished:
        unfinished.write_text(
            json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def switch_link(link: Path, target: Path) -> None:
    """Point the symbolic link at `target`, relative and in one step: a reader sees the old one or
    the new one.
    """
    fresh = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)
    fsync(link.parent)


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def no_pause() -> None:
    """Between the steps of work that nobody waits beside: nothing."""


def copy_sha256(source: Path, copy: Path, between: Callable[[], None] = no_pause) -> str:
    """Copy a file and return the hash of what was copied; `between` is called after every chunk."""
    digest = hashlib.sha256()
    with source.open("rb") as stream, copy.open("wb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            out.write(chunk)
            between()
    return digest.hexdigest()


def content_sha256(path: Path) -> str:
    """Hash of a file, or of a folder's relative names and contents in name order."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def size_bytes(path: Path) -> int:
    """Of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


SUPPRESSED = "suppressed.json"
"""Of a run folder: who was forgotten (`core.suppression`)."""


@dataclass
class RunFolder:
    """`runs/<name>`: everything a run leaves behind, and the only bridge between its stages."""

    path: Path

    @property
    def interactions(self) -> Path:
        return self.path / "interactions"

    @property
    def graph(self) -> Path:
        return self.path / "graph"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def bundles(self) -> Path:
        return self.path / "bundles"

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    @property
    def suppressed(self) -> Path:
        return self.path / SUPPRESSED

    @property
    def progress(self) -> Path:
        """What the stage at work tells, for whoever looks from outside."""
        return self.path / "progress.json"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    def read_manifest(self) -> dict[str, Any]:
        return read_json(self.manifest) if self.manifest.exists() else {}

    @contextmanager
    def locked(self) -> Iterator["RunFolder"]:
        """Hold the folder for this process. Raises UsageError naming the pid that holds it already."""
        with exclusive(
            self.path / ".lock", f"{self.path} is in use", "Wait for it, or choose another --out"
        ):
            _sweep(self.path)
            yield self

    @staticmethod
    def existing(path: Path) -> "RunFolder":
        """The run folder at `path`. Raises UsageError when there is none."""
        if not (path / "manifest.json").exists():
            raise UsageError(
                f"{str(path)!r} is not a run folder: it has no manifest.json",
                "Make one with: recsys run CONFIG.toml",
            )
        return RunFolder(path)


@contextmanager
def exclusive(lock: Path, busy: str, remedy: str, wait: bool = False) -> Iterator[None]:
    """Hold the file `lock` for this process until the block ends.

    Raises UsageError, "`busy` by process …", when another holds it; with `wait` its end is waited
    for.
    """
    with _explained(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a+", encoding="utf-8")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            stream.seek(0)
            raise UsageError(
                f"{busy} by process {stream.read().strip() or 'unknown'}", remedy
            ) from None
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written; only the holder of the lock may."""
    for pattern in (".*.tmp", ".*.tmp.*", ".*.old"):
        for left in folder.rglob(pattern):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink(
                missing_ok=True
            )


def fsync(path: Path) -> None:
    """Have the disk hold what was written to a file or a folder when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the errors of a full or unwritable disk into MachineError."""
    remedies = {
        errno.ENOSPC: "The disk is full: free some space, or choose another --out; nothing half-written was left",
        errno.EDQUOT: "Your quota is used up: free some space, or choose another --out",
        errno.EROFS: "The file system is mounted read-only: choose another --out",
        errno.EACCES: "You may not write there: choose another --out or change its permissions",
        errno.EPERM: "You may not write there: choose another --out or change its permissions",
        errno.EISDIR: "A folder is there: name a file in it, or choose another --out",
        errno.ENOTDIR: "A file is there where a folder is wanted: choose another --out",
        errno.EEXIST: "A file is there where a folder is wanted: choose another --out",
        errno.ENAMETOOLONG: "The name is too long: choose another --out",
    }
    try:
        yield
    except RecsysError:
        raise
    except (
        Exception
    ) as error:  # libraries wrap a failed write in errors of their own; all others go on unchanged
        number = _number(error)
        if number not in remedies:
            raise
        raise MachineError(
            f"cannot write {str(path)!r}: {os.strerror(number)}", remedies[number]
        ) from error


def _number(error: Exception) -> int:
    """The system's error number, 0 for none.

    polars and safetensors, written in Rust, name it in their message only: "… (os error 28)"; numpy
    and FAISS only say that less was written than asked for.
    """
    if isinstance(error, OSError) and error.errno:
        return error.errno
    named = re.search(r"\(os error (\d+)\)", str(error))
    short = re.search(r"\d+ requested and \d+ written|No space left on device", str(error))
    return int(named[1]) if named else errno.ENOSPC if short else 0

"""Where the files of steps lie: a folder that all who run calls see, or what a protocol stands for
(object storage, `recsys.storage.step_files`).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recsys.core.artefacts import atomic_folder, file_sha256, read_json, write_json

CARD = "step.json"
"""In the folder of a call: what it left, with its facts."""


@dataclass(frozen=True)
class BucketFile:
    """A file that a step left. sha256: empty where nothing outside this process reads it."""

    path: Path
    size: int
    sha256: str = ""

    @staticmethod
    def of(path: Path, hashed: bool) -> "BucketFile":
        """A file as it lies there."""
        return BucketFile(path, path.stat().st_size, file_sha256(path) if hashed else "")

    def is_whole(self) -> bool:
        """Whether the file is there, as long as it was, and byte for byte the same.

        The hash is taken once by each process, as long as nobody touches the file.
        """
        try:
            status = self.path.stat()
        except OSError:
            return False
        if status.st_size != self.size:
            return False
        mark = (str(self.path), status.st_ino, status.st_mtime_ns, self.sha256)
        if self.sha256 and mark not in _VERIFIED:
            if file_sha256(self.path) != self.sha256:
                return False
            _VERIFIED.add(mark)
        return True


_VERIFIED: set[tuple[str, int, int, str]] = set()


class StepFiles(Protocol):
    """Files of steps, for all nodes that run calls; it is sent to them with every call. Paths of files
    and folders are names here: only what `at`, `writing` and `filling` give can be opened.
    """

    @property
    def copies(self) -> bool:
        """Whether what `at` gives is a copy of this node, which may be removed."""
        ...

    def card(self, folder: Path) -> dict[str, Any] | None:
        """What stands on the card of a folder; None without one that can be read."""
        ...

    def write_card(self, folder: Path, card: dict[str, Any]) -> None:
        """Replace the card of a folder."""
        ...

    def remove_card(self, folder: Path) -> None:
        """From now on the folder counts as not there."""
        ...

    def are_there(self, folder: Path, files: Sequence[BucketFile]) -> bool:
        """Whether a folder still holds all of some files."""
        ...

    def at(self, file: BucketFile) -> Path | None:
        """Where a file can be read; None where it is missing or not as it was left."""
        ...

    def writing(self, path: Path) -> AbstractContextManager[Path]:
        """Where to write a file; it is there when the block ends well."""
        ...

    def filling(self, folder: Path) -> AbstractContextManager[Path]:
        """An empty folder to fill; all of it is there when the block ends well, its card last, or
        nothing is.
        """
        ...

    def take(self, file: BucketFile, folder: Path) -> BucketFile:
        """A file of whoever leads the steps, as all nodes can read it. folder: of the steps."""
        ...

    def remove(self, files: Sequence[BucketFile]) -> None:
        """Give their space back."""
        ...

    def clear(self, pattern: str) -> None:
        """Remove all that lies below folders whose names match."""
        ...


class SharedFolder:
    """Files as they lie on the disk that all nodes see."""

    copies = False

    def card(self, folder: Path) -> dict[str, Any] | None:
        try:
            card: dict[str, Any] = read_json(folder / CARD)
        except (OSError, ValueError):
            return None
        return card

    def write_card(self, folder: Path, card: dict[str, Any]) -> None:
        write_json(folder / CARD, card)

    def remove_card(self, folder: Path) -> None:
        (folder / CARD).unlink(missing_ok=True)

    def are_there(self, folder: Path, files: Sequence[BucketFile]) -> bool:
        return all(file.is_whole() for file in files)

    def at(self, file: BucketFile) -> Path | None:
        return file.path if file.is_whole() else None

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path

    def filling(self, folder: Path) -> AbstractContextManager[Path]:
        return atomic_folder(folder)

    def take(self, file: BucketFile, folder: Path) -> BucketFile:
        return file

    def remove(self, files: Sequence[BucketFile]) -> None:
        for file in files:
            file.path.unlink(missing_ok=True)

    def clear(self, pattern: str) -> None:
        """Those of a run lie in its own folder, and go with that."""

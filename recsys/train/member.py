"""What a process of a group does, whoever starts it."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from recsys.core.artefacts import write_json
from recsys.core.config.group import GroupConfig
from recsys.core.errors import RecsysError
from recsys.core.progress import QUIET, Progress
from recsys.train.ranks import Group

Work = Callable[..., None]
"""(ranks, progress, *arguments): what every process of a group does."""
Thing = TypeVar("Thing")

TOLD = "told.jsonl"
"""In the folder of the group: what its first process says."""
COMPLAINTS = "error-*.json"
"""In the folder of the group: errors that starting again would not help against."""


@dataclass(frozen=True)
class Member:
    """One process of a group, before it runs.

    work: what it does.
    arguments: of `work` after ranks and progress; they can be pickled.
    folder: that all processes and the one that started them can read and write.
    group: how many there are, and how long they wait for one another.
    on_gpu: whether gradients lie on GPUs.
    """

    work: Work
    arguments: tuple[Any, ...]
    folder: Path
    group: GroupConfig
    on_gpu: bool

    def run(self, restarts: int) -> None:
        """In a process group that has been joined. restarts: of the group so far."""
        ranks = Group()
        complaint = _complaint(self.folder, ranks.rank)
        complaint.unlink(missing_ok=True)
        progress: Progress = Told(self.folder) if ranks.leads else QUIET
        if restarts:
            progress.say(
                f"a training process died: the group of {ranks.size} goes on from its last "
                f"checkpoint (restart {restarts})",
                restart=restarts,
            )
        try:
            self.work(ranks, progress, *self.arguments)
        except RecsysError as error:
            # Starting again would not help.
            write_json(complaint, _document(error))


class Told:
    """Progress that is appended to a file, for the process that started the group."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TOLD

    def say(self, message: str, **fields: object) -> None:
        line = json.dumps({"message": message, "fields": fields}, default=str)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def track(
        self, things: Iterable[Thing], label: str, total: int | None = None
    ) -> Iterator[Thing]:
        yield from things


def _complaint(folder: Path, rank: int) -> Path:
    return folder / f"error-{rank}.json"


def _document(error: RecsysError) -> dict[str, str]:
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "code": error.code,
    }

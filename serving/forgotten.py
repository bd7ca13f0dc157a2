"""People whom the run was told to forget: of them nothing is collected again."""

from pathlib import Path

from recsys.core.artefacts import RunFolder
from recsys.core.suppression import Suppression
from serving.keys import file_stamp


class Forgotten:
    """The run's list, read again when it changes. run: None for a service that has no run."""

    def __init__(self, run: Path | None) -> None:
        self._path = None if run is None else RunFolder(run).suppressed
        self._stamp: tuple[int, int, int] | None = None
        self._people = Suppression("")
        self.follow()

    def holds(self, user: str) -> bool:
        return bool(self._people.hashes) and self._people.holds(user)

    def follow(self) -> None:
        """Look at the file."""
        if self._path is None or not self._path.exists():
            return
        stamp = file_stamp(self._path)
        if stamp != self._stamp:
            self._people = Suppression.load(self._path)
            self._stamp = stamp

"""Bundles of the run beside the live one, to hold their lists against its lists."""

import threading
from pathlib import Path

from recsys.core.artefacts import RunFolder
from recsys.core.errors import DataError
from serving.problems import Refused
from serving.state import Served, load


class Others:
    """The bundle that was asked for last is kept, mapped as the live one is; the one before it is
    given up.
    """

    def __init__(self, run: Path | None) -> None:
        self._run = run
        self._loading = threading.Lock()
        self._kept: Served | None = None

    def get(self, name: str) -> Served:
        """Raises Refused: 404 for a bundle that the run does not have, 409 for a damaged one."""
        with self._loading:
            path = self._path(name)
            if self._kept is None or self._kept.version != name:
                self._kept = None
                self._kept = _load(path)
            return self._kept

    def follow(self) -> None:
        """Give up a bundle that is gone from the run, as one is that held somebody to be forgotten."""
        with self._loading:
            if self._run is not None and self._kept is not None:
                folder = RunFolder(self._run).bundles / self._kept.version
                if not folder.is_dir():
                    self._kept = None

    def _path(self, name: str) -> Path:
        if self._run is None:
            raise Refused(
                404,
                "this service serves one bundle, not a run",
                "Start it on a run folder",
                code="not_offered",
            )
        path = RunFolder(self._run).bundles / name
        if not path.is_dir():
            raise Refused(
                404,
                f"the run has no bundle {name!r}",
                "See /v1/admin/bundles for those it has",
                code="unknown_bundle",
            )
        return path


def _load(path: Path) -> Served:
    try:
        return load(path)
    except DataError as error:
        raise Refused(409, error.message, error.remedy, code="bundle_refused") from error

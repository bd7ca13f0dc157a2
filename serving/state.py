"""The bundle that answers: loaded from a private copy, verified, and swapped while requests go on."""

import logging
import math
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.bundle.files import copy_checked
from recsys.bundle.storage import as_data_error, load_document
from recsys.core.artefacts import no_pause
from recsys.core.errors import RecsysError
from recsys.core.ids import UNKNOWN
from recsys.lookup.histories import Event
from recsys.lookup.lookup import Lookup
from recsys.releases.publish import replay_golden

_LOG = logging.getLogger("recsys.serving")
_SHARE_OF_A_RELOAD = 0.1  # of a core, so that requests hardly wait for it


@dataclass(frozen=True)
class Expected:
    """First scores of known users when the bundle was written: what live ones are compared with."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Served:
    """One loaded bundle. Whoever began with it ends with it, whatever is swapped in meanwhile.

    written, loaded: unix seconds.
    """

    lookup: Lookup
    expected: Expected
    written: float
    loaded: float = field(default_factory=time.time)

    @property
    def bundle(self) -> Bundle:
        return self.lookup.bundle

    @cached_property
    def version(self) -> str:
        return self.bundle.path.name

    @property
    def has_behaviors(self) -> bool:
        """Whether the log of the run names behaviours."""
        return self.bundle.segments[1:] != ("interaction",)

    def news(self, user: str | None, events: Sequence[Event]) -> tuple[Event, ...]:
        """The events of a user that the bundle has not learnt from: pairs it lacks, or later than
        all it has seen.
        """
        bundle = self.bundle
        [row] = bundle.users.lookup([user]) if user is not None else [UNKNOWN]
        if row == UNKNOWN:
            return tuple(events)
        end = np.inf if bundle.encoder.now is None else bundle.encoder.now
        return tuple(one for one in events if _after(one, end) or not self._has(int(row), one))

    def _has(self, row: int, event: Event) -> bool:
        [item] = self.bundle.items.lookup([event.item])
        seen = self.bundle.seen.get(event.behavior or self.bundle.target)
        return seen is not None and item in seen.indices[seen.indptr[row] : seen.indptr[row + 1]]


def load(path: Path, between: Callable[[], None] = no_pause) -> Served:
    """Load and verify the bundle at `path` (or that a link there names): hashes, then the golden
    requests.

    Arrays are mapped from a copy that has no name any more once this returns, so nothing that
    happens to the bundle on disk reaches the answers. between: called after each small step of the
    work. Raises DataError for a bundle that is damaged or answers otherwise than when written.
    """
    source = path.resolve()
    with tempfile.TemporaryDirectory(prefix="recsys-bundle-") as folder, as_data_error(source):
        copy = Path(folder) / source.name
        copy_checked(source, copy, between)
        bundle = Bundle.load(copy, verify=False)
        replay_golden(bundle, between)
        return Served(
            Lookup(bundle),
            _expected(copy / "golden.json"),
            (copy / "manifest.json").stat().st_mtime,
        )


class Pace:
    """Called between the steps of some work, it sleeps until that took no more than `share` of its
    thread's time.
    """

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self.done = time.thread_time()

    def __call__(self) -> None:
        time.sleep((time.thread_time() - self.done) * self._rest)
        self.done = time.thread_time()


def _expected(golden: Path) -> Expected:
    first_scores = []
    for request in load_document(golden)["requests"]:
        if "user" in request and request["scores"]:
            first_scores.append(request["scores"][0])
    if not first_scores:
        return Expected(0.0, 0.0)
    return Expected(float(np.mean(first_scores)), float(np.std(first_scores)))


def _after(event: Event, end: float) -> bool:
    """Whether an event is later than a moment of a log, which holds whole seconds."""
    return event.time is not None and math.floor(event.time) > end


class Listener(Protocol):
    """Whoever wants to know what becomes of bundles."""

    def loaded(self, served: Served) -> None: ...
    def refused(self, error: RecsysError) -> None: ...


class State:
    """What answers now. Raises DataError when the first bundle is refused; later ones leave the old
    in place.
    """

    def __init__(self, link: Path, listener: Listener) -> None:
        self.link = link
        self.refused: RecsysError | None = None
        self._listener = listener
        self._loading = threading.Lock()
        self._tried = link.resolve()
        self.current = load(link)
        listener.loaded(self.current)

    def reload(self) -> Served:
        """Load what the link names now. Raises RecsysError when it is refused; the bundle before
        goes on answering.
        """
        with self._loading:
            self._tried = self.link.resolve()
            try:
                fresh = load(self.link, Pace(_SHARE_OF_A_RELOAD))
            except RecsysError as error:
                self.refused = error
                self._listener.refused(error)
                _LOG.error("kept bundle %s: %s", self.current.version, error)
                raise
            self.current = fresh
            self.refused = None
            self._listener.loaded(fresh)
            _LOG.warning("bundle %s answers now", fresh.version)
            return fresh

    def follow(self) -> None:
        """Reload when the link names another bundle than the one last tried; a refused one is tried
        once.
        """
        if self.link.resolve() != self._tried:
            with suppress(RecsysError):  # kept in `refused`, and logged
                self.reload()

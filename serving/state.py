"""The bundle that answers: loaded from a private copy, verified, and swapped while requests go on."""

import itertools
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
from recsys.bundle.files import copy_checked, written_at
from recsys.bundle.storage import as_data_error, load_document
from recsys.core.artefacts import CHUNK_BYTES, no_pause
from recsys.core.errors import MachineError, RecsysError
from recsys.core.ids import UNKNOWN
from recsys.lookup.histories import Event
from recsys.lookup.lookup import Lookup
from recsys.releases.life_cycle import Load
from recsys.releases.publish import replay_golden
from serving.jobs import Tell
from serving.logs import LOG
from serving.price import Prices
from serving.spans import Spans

_SHARE_OF_A_RELOAD = 0.1  # of a core, so that requests hardly wait for it
_LONGEST_ANSWER_SECONDS = 60.0  # requests are given up before: `Settings.answer_seconds`


def _tell_nobody(share: float) -> None:
    """Nobody asked how far it is."""


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

    @cached_property
    def prices(self) -> Prices:
        items, width = self.bundle.search_vectors.shape
        return Prices(items, width, has_index=self.bundle.index is not None)

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
        fresh = []
        for event in events:
            if _after(event, end) or not self._has(int(row), event):
                fresh.append(event)
        return tuple(fresh)

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
            written_at(copy),
        )


class Pace:
    """Called between the steps of some work, it sleeps until that took no more than `share` of its
    thread's time.
    """

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self._rested = time.thread_time()

    def __call__(self) -> None:
        time.sleep(self.worked * self._rest)
        self.start_anew()

    @property
    def worked(self) -> float:
        """Seconds of the thread's time since it rested."""
        return time.thread_time() - self._rested

    def start_anew(self) -> None:
        """What was done so far needs no rest."""
        self._rested = time.thread_time()


def _let_go_later(served: Served) -> None:
    """Keep a bundle that answers no more until every answer from it has been given.

    Whoever lets go of it last waits while the disk frees its files, seconds for gigabytes: that must
    not be the thread that makes everybody's lists.
    """
    timer = threading.Timer(_LONGEST_ANSWER_SECONDS, lambda kept: kept.clear(), [[served]])
    timer.daemon = True
    timer.start()


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

    def __init__(self, link: Path, listener: Listener, spans: Spans | None = None) -> None:
        self.link = link
        self.refused: RecsysError | None = None
        self.is_stopping = False
        self._listener = listener
        self._spans = spans or Spans()
        self._loading = threading.Lock()
        self._tried = link.resolve()
        self.current = load(link)
        listener.loaded(self.current)

    def reload(self, tell: Tell = _tell_nobody) -> Served:
        """Load what the link names now. Raises RecsysError when it is refused; the bundle before
        goes on answering.

        tell: called with the share that is done.
        """
        with self._loading:
            return self._reload(tell)

    def switch(self, change: Callable[[Load], object], tell: Tell = _tell_nobody) -> Served:
        """Change what the link names, and answer from it. Raises what `change` does, and what `reload`
        does.

        change: loads what it makes live by its argument, so that it is verified and loaded in one.
        """
        loaded: list[Served] = []

        def load_once(path: Path) -> Bundle:
            loaded.append(self._loaded(path, tell))
            return loaded[-1].bundle

        with self._loading:
            change(load_once)
            live = self.link.resolve()
            for served in loaded:
                if served.version == live.name:
                    self._tried = live
                    self._take(served)
                    return served
            return self._reload(tell)

    def _reload(self, tell: Tell) -> Served:
        self._tried = self.link.resolve()
        try:
            fresh = self._loaded(self._tried, tell)
        except RecsysError as error:
            self.refused = error
            self._listener.refused(error)
            LOG.error("kept bundle %s: %s", self.current.version, error)
            raise
        self._take(fresh)
        return fresh

    def _loaded(self, bundle: Path, tell: Tell) -> Served:
        span = self._spans.part("bundle.reload")
        try:
            fresh = load(bundle, self._paced(bundle, tell))
        except RecsysError:
            span.end(model_version=bundle.name, outcome="refused")
            raise
        span.end(model_version=fresh.version, outcome="loaded")
        return fresh

    def _take(self, fresh: Served) -> None:
        _let_go_later(self.current)
        self.current = fresh
        self.refused = None
        self._listener.loaded(fresh)
        LOG.warning("bundle %s answers now", fresh.version)

    def _paced(self, bundle: Path, tell: Tell) -> Callable[[], None]:
        """Called after each step of a reload: slows it down, tells how far it is, and ends it where
        the service stops.
        """
        rest = self.loading_pace()
        chunks = sum(file.stat().st_size // CHUNK_BYTES + 1 for file in bundle.iterdir())
        steps = itertools.count(1)

        def step() -> None:
            rest()
            tell(min(next(steps) / chunks, 0.99))

        return step

    def loading_pace(self) -> Callable[[], None]:
        """Called between the steps of loading a bundle, it rests, and ends the loading where the
        service stops.
        """
        pace = Pace(_SHARE_OF_A_RELOAD)

        def step() -> None:
            if self.is_stopping:
                raise MachineError("the service stops before the bundle is loaded")
            pace()

        return step

    def follow(self) -> None:
        """Reload when the link names another bundle than the one last tried; a refused one is tried
        once.
        """
        if self.link.resolve() == self._tried:
            return
        with self._loading:
            # Whoever loaded until now may have loaded this very bundle.
            if self.link.resolve() != self._tried:
                with suppress(RecsysError):  # kept in `refused`, and logged
                    self._reload(_tell_nobody)

"""The HTTP application over one bundle at a time: lists, likenesses and reasons as JSON."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from recsys.core.machine import cores, versions
from serving import gauges
from serving.admission import Admission
from serving.audit import Audit
from serving.batching import Batcher
from serving.context import Context
from serving.event_log import EventLog
from serving.forgotten import Forgotten
from serving.guard import Guard
from serving.impressions import FILE as IMPRESSIONS
from serving.impressions import ImpressionLog
from serving.jobs import Jobs
from serving.keys import Keys
from serving.live_events import LiveEvents
from serving.logs import LOG
from serving.metrics import Metrics
from serving.openapi import describe, operation_id
from serving.otel import followed
from serving.others import Others
from serving.prefix import Prefixed
from serving.problems import answer_errors
from serving.routes import admin, catalogue, experiments, live, probes, recommend, run
from serving.routes.wire import PROBLEMS
from serving.row_log import RowLog
from serving.service import Service
from serving.settings import Settings
from serving.shortcut import Shortcut
from serving.spans import Spans
from serving.state import State
from serving.trials import Trials

# A batch that comes back from its matrix product waits that long for the thread that reads
# requests, and so often; with Python's 5 ms a sixth fewer requests were answered.
_SWITCH_SECONDS = 0.001
# A full collection of garbage stops everybody for 50 ms where long lists are made, which Python would do
# every second: it is done a twentieth as often. What is in no circle is freed without it.
_YOUNGER_COLLECTIONS = 200
_PACKED_BYTES = 4096  # below, packing an answer takes longer than sending it


def make_app(settings: Settings) -> ASGIApp:
    """The application, with its first bundle loaded and verified.

    Raises DataError when that bundle is refused, ConfigError for a file of keys that cannot be
    used.
    """
    context = _context(settings)
    gauges.watch(context)
    app = FastAPI(
        title="recsys",
        version=versions(())["recsys"],
        openapi_url=None,  # see `describe`
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        lifespan=_following,
        generate_unique_id_function=operation_id,
        description="Recommendations out of a bundle; ids are those of the log.",
    )
    app.state.context = context
    answer_errors(app)
    for router in (
        recommend.router,
        catalogue.router,
        live.router,
        experiments.router,
        admin.router,
        run.router,
        probes.router,
    ):
        app.include_router(router)
    describe(app, with_keys=context.keys is not None, prefix=settings.prefix)
    app.mount("/page", StaticFiles(directory=probes.PAGE, check_dir=False), "page")
    packed = GZipMiddleware(Shortcut(app), minimum_size=_PACKED_BYTES)
    admission = Admission(settings, context.keys, context.metrics)
    guarded: ASGIApp = Guard(packed, settings, admission, context.metrics, context.spans)
    if settings.cors:
        guarded = CORSMiddleware(guarded, settings.cors, allow_methods=["*"], allow_headers=["*"])
    return Prefixed(guarded, settings.prefix) if settings.prefix else guarded


def _context(settings: Settings) -> Context:
    metrics = Metrics()
    spans = followed(metrics) if settings.otel else Spans()
    state = State(settings.bundle, metrics, spans)
    live = LiveEvents(settings.events, settings.live_days)
    live.refresh()
    keys = None
    if settings.keys is not None:
        keys = Keys(settings.keys, settings.workers)
    log = writer = None
    if settings.events is not None:
        log = EventLog(settings.events, live.known)
        writer = Batcher(_appending(log), ThreadPoolExecutor(1, "events"), spans)
    shown = None
    if settings.run is not None:
        impressions = ImpressionLog(settings.run / IMPRESSIONS)
        shown = Batcher(_appending(impressions), ThreadPoolExecutor(1, "impressions"), spans)
    forgotten = Forgotten(settings.run)
    trials = Trials(settings.run, state, forgotten)
    return Context(
        settings=settings,
        keys=keys,
        state=state,
        service=Service(state, live, metrics, trials, _threads(settings), spans),
        live=live,
        metrics=metrics,
        spans=spans,
        jobs=Jobs(_jobs_folder(settings), Audit(settings.audit).write),
        others=Others(settings.run),
        log=log,
        writer=writer,
        forgotten=forgotten,
        trials=trials,
        shown=shown,
    )


def _jobs_folder(settings: Settings) -> Path | None:
    return None if settings.run is None else settings.run / "jobs"


@asynccontextmanager
async def _following(app: FastAPI) -> AsyncIterator[None]:
    """Follow the link to the bundle and the file of keys while the application runs."""
    context: Context = app.state.context
    following = asyncio.create_task(_follow(context))
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    thresholds = gc.get_threshold()
    gc.set_threshold(*thresholds[:2], _YOUNGER_COLLECTIONS)
    gc.freeze()  # what lives as long as the service is not looked through again: that took 70 ms each time
    with threadpool_limits(_threads(context.settings), "blas"), _told_to_stop(context):
        yield
    context.state.is_stopping = True
    sys.setswitchinterval(before)
    gc.set_threshold(*thresholds)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    context.service.close()
    context.jobs.close()
    context.spans.close()


@contextmanager
def _told_to_stop(context: Context) -> Iterator[None]:
    """SIGTERM turns readiness red; the server goes on for `drain_seconds`, so that whoever shares out
    requests can notice.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    loop = asyncio.get_running_loop()
    stop = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        wait = 0.0 if context.state.is_stopping else context.settings.drain_seconds
        context.state.is_stopping = True
        if callable(stop):
            loop.call_soon_threadsafe(loop.call_later, wait, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, stop)


def _threads(settings: Settings) -> int:
    """For matrix products: what one worker's share of the cores leaves beside the thread that reads
    requests.
    """
    return max(1, cores() // settings.workers - 1)


async def _follow(context: Context) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(context.settings.poll_seconds)
        try:
            await loop.run_in_executor(None, context.state.follow)
            await loop.run_in_executor(None, context.others.follow)
            await loop.run_in_executor(None, context.forgotten.follow)
            context.metrics.tell()
            if context.keys is not None:
                await loop.run_in_executor(None, context.keys.follow)
            await loop.run_in_executor(None, context.trials.follow)
        except (
            Exception
        ):  # a machine short of memory or files for a moment must not end the following
            LOG.exception("could not look at what the service follows")


def _appending(log: RowLog[Any]) -> Callable[[Sequence[list[Any]]], list[list[bool]]]:
    """Several requests' rows by one write and one fsync; of each whether it is new."""

    def append(several: Sequence[list[Any]]) -> list[list[bool]]:
        is_new = iter(log.append(list(chain.from_iterable(several))))
        return [list(islice(is_new, len(rows))) for rows in several]

    return append

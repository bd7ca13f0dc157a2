"""The HTTP application over one bundle at a time: lists, likenesses and reasons as JSON."""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from itertools import chain

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from recsys.core.machine import cores, versions
from serving.audit import Audit
from serving.batching import Batcher
from serving.context import Context
from serving.events import EventLog, LiveEvents, Row
from serving.guard import Guard
from serving.keys import Keys
from serving.metrics import Metrics
from serving.others import Others
from serving.problems import answer_errors
from serving.routes import admin, catalogue, live, probes, recommend, run
from serving.routes.wire import PROBLEMS
from serving.service import Service
from serving.settings import Settings
from serving.shortcut import Shortcut
from serving.state import State

_LOG = logging.getLogger("recsys.serving")
# A batch that comes back from its matrix product waits that long for the thread that reads
# requests, and so often; with Python's 5 ms a sixth fewer requests were answered.
_SWITCH_SECONDS = 0.001


def make_app(settings: Settings) -> ASGIApp:
    """The application, with its first bundle loaded and verified.

    Raises DataError when that bundle is refused, ConfigError for a file of keys that cannot be
    used.
    """
    context = _context(settings)
    app = FastAPI(
        title="recsys",
        version=versions(())["recsys"],
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        lifespan=_following,
    )
    app.state.context = context
    answer_errors(app)
    for router in (
        recommend.router,
        catalogue.router,
        live.router,
        admin.router,
        run.router,
        probes.router,
    ):
        app.include_router(router)
    app.mount("/page", StaticFiles(directory=probes.PAGE, check_dir=False), "page")
    guarded: ASGIApp = Guard(Shortcut(app), settings, context.keys, context.metrics)
    if not settings.cors:
        return guarded
    return CORSMiddleware(guarded, settings.cors, allow_methods=["*"], allow_headers=["*"])


def _context(settings: Settings) -> Context:
    metrics = Metrics()
    state = State(settings.bundle, metrics)
    live = LiveEvents(settings.events)
    live.refresh()
    keys = None
    if settings.keys is not None:
        keys = Keys(settings.keys, settings.workers)
    writer = None
    if settings.events is not None:
        append = _appending(EventLog(settings.events))
        writer = Batcher(append, ThreadPoolExecutor(1, "events"))
    return Context(
        settings=settings,
        keys=keys,
        state=state,
        service=Service(state, live, metrics, _threads(settings)),
        live=live,
        metrics=metrics,
        audit=Audit(settings.audit),
        others=Others(settings.run),
        writer=writer,
    )


@asynccontextmanager
async def _following(app: FastAPI) -> AsyncIterator[None]:
    """Follow the link to the bundle and the file of keys while the application runs."""
    context: Context = app.state.context
    following = asyncio.create_task(_follow(context))
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what lives as long as the service is not looked through again: that took 70 ms each time
    with threadpool_limits(_threads(context.settings), "blas"):
        yield
    sys.setswitchinterval(before)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    context.service.close()


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
            if context.keys is not None:
                await loop.run_in_executor(None, context.keys.follow)
        except (
            Exception
        ):  # a machine short of memory or files for a moment must not end the following
            _LOG.exception("could not look at what the service follows")


def _appending(log: EventLog) -> Callable[[Sequence[list[Row]]], list[Exception | None]]:
    """Several requests' rows by one write and one fsync."""

    def append(several: Sequence[list[Row]]) -> list[Exception | None]:
        log.append(list(chain.from_iterable(several)))
        return [None] * len(several)

    return append

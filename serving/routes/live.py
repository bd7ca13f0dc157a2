"""Events as they happen."""

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from recsys.core.errors import UsageError
from recsys.core.ids import UNKNOWN
from recsys.lookup.histories import behavior_refusal
from serving.bodies.live import EventsBody, NewEvent, RetractBody
from serving.caller import Caller
from serving.documents import Accepted, Retracted
from serving.event_log import EventLog, Retraction
from serving.new_events import row_of
from serving.problems import Refused
from serving.routes.body import BodyRoute
from serving.routes.taking import checked, keep
from serving.routes.wire import Here, document
from serving.state import Served

router = APIRouter(prefix="/v1", tags=["events"], route_class=BodyRoute)

_LISTS_PER_MEGABYTE = 20.0  # what it costs to write the log anew, in plain lists


@router.post("/events", response_model=Accepted)
async def send_events(here: Here, body: EventsBody) -> Response:
    """Take events: they are on disk when this answers, and the next answers take them into account.

    One that cannot be is named by its place, and fails itself alone.
    """
    if here.writer is None:
        raise _takes_none()
    served = here.served
    valid, rejected = checked(
        "events", body.events, lambda event: behavior_refusal(served.bundle, event.behavior)
    )
    remembered, seen = await keep(
        here,
        "events",
        valid,
        lambda event: row_of(served, event),
        here.writer,
        code="events_not_written",
    )
    here.metrics.events.inc(seen["accepted"])
    answer: Accepted = {**seen, "unknown": _unknown(served, remembered)}
    if rejected:
        answer["rejected"] = rejected
    return document(answer)


@router.post("/events/retract", response_model=Retracted)
async def retract_events(here: Here, request: Request, body: RetractBody) -> Response:
    """Take events back, out of the log on disk as well: the next batch run does not learn from them."""
    if here.log is None:
        raise _takes_none()
    retractions = [Retraction(event_id) for event_id in body.ids]
    for event in body.events:
        retractions.append(Retraction(None, event.user, event.item, event.behavior))
    if not retractions:
        raise UsageError("nothing is to be retracted", "Give ids or events")
    Caller(request).spend(_megabytes(here.log) * _LISTS_PER_MEGABYTE)
    num_gone = await asyncio.to_thread(here.log.retract, retractions)
    return document({"retracted": num_gone})


def _takes_none() -> Refused:
    return Refused(
        404,
        "this service takes no events",
        "Start it on a run folder, or with --events FILE",
        code="not_offered",
    )


def _unknown(served: Served, events: Sequence[NewEvent]) -> list[str]:
    """Ids of items that the bundle does not know."""
    items = [event.item for event in events]
    internal_ids = served.bundle.items.lookup(items)
    unknown = []
    for item, internal_id in zip(items, internal_ids, strict=True):
        if internal_id == UNKNOWN:
            unknown.append(item)
    return unknown


def _megabytes(log: EventLog) -> float:
    return log.path.stat().st_size / 1e6 if log.path.exists() else 0.0

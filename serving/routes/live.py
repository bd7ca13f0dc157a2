"""Events as they happen."""

import time

from fastapi import APIRouter, Response

from recsys.core.errors import UsageError, nearest
from recsys.core.ids import UNKNOWN
from serving.bodies import EventsBody, NewEvent
from serving.documents import Accepted
from serving.events import Row
from serving.problems import Refused
from serving.routes.wire import Here, document
from serving.state import Served

router = APIRouter(prefix="/v1", tags=["events"])


@router.post("/events", response_model=Accepted)
async def events(here: Here, body: EventsBody) -> Response:
    """Take events: they are on disk when this answers, and the next answers take them into account."""
    if here.writer is None:
        raise Refused(
            404, "this service takes no events", "Start it on a run folder, or with --events FILE"
        )
    served = here.served
    for event in body.events:
        _check_behavior(served, event)
    await here.writer.ask([_row(served, event) for event in body.events])
    here.metrics.events.inc(len(body.events))
    items = [event.item for event in body.events]
    unknown = []
    for item, internal_id in zip(items, served.bundle.items.lookup(items), strict=True):
        if internal_id == UNKNOWN:
            unknown.append(item)
    return document({"accepted": len(body.events), "unknown": unknown})


def _check_behavior(served: Served, event: NewEvent) -> None:
    """Raises UsageError for a behaviour that the log does not have: lookup could make nothing of
    it.
    """
    known = served.bundle.segments[1:]
    if event.behavior is not None and event.behavior not in known:
        hint = nearest(event.behavior, known) or f"The log has {list(known)}"
        raise UsageError(f"unknown behaviour {event.behavior!r}", hint)


def _row(served: Served, event: NewEvent) -> Row:
    moment = time.time() if event.time is None else event.time
    row: Row = {"user_id": event.user, "item_id": event.item, "timestamp": int(moment)}
    if served.has_behaviors:
        row["behavior"] = event.behavior or served.bundle.target
    if served.bundle.encoder.use_weights:
        row["weight"] = event.weight
    return row

"""What was shown of answers, and how the experiment of the run goes."""

import asyncio
import time

from fastapi import APIRouter, Request, Response

from recsys.core.artefacts import RunFolder
from serving.bodies.live import Impression, ImpressionsBody
from serving.caller import Caller
from serving.documents import ExperimentReport, Seen
from serving.impressions import ImpressionRow
from serving.problems import Refused
from serving.routes.body import BodyRoute
from serving.routes.taking import checked, keep
from serving.routes.wire import Here, document
from serving.trial_report import log_megabytes, report_of

router = APIRouter(prefix="/v1", tags=["experiments"], route_class=BodyRoute)

_LISTS_PER_MEGABYTE = 20.0  # what it costs to read the logs, in plain lists


@router.post("/impressions", response_model=Seen)
async def send_impressions(here: Here, body: ImpressionsBody) -> Response:
    """Take what was shown of lists: it is on disk when this answers, each impression once.

    One that cannot be is named by its place, and fails itself alone.
    """
    if here.shown is None:
        raise Refused(
            404, "this service takes no impressions", "Start it on a run folder", code="not_offered"
        )
    valid, rejected = checked("impressions", body.impressions)
    _, seen = await keep(
        here, "impressions", valid, _row, here.shown, code="impressions_not_written"
    )
    here.metrics.impressions.inc(seen["accepted"])
    if rejected:
        seen["rejected"] = rejected
    return document(seen)


@router.get("/admin/experiment", response_model=ExperimentReport)
async def experiment(here: Here, request: Request) -> Response:
    """How the newest experiment of the run goes; its logs are read anew each time."""
    if here.settings.run is None or here.settings.events is None:
        raise Refused(
            404,
            "this service serves one bundle, not a run",
            "Start it on a run folder",
            code="not_offered",
        )
    folder = RunFolder(here.settings.run)
    logs = [here.settings.events]
    Caller(request).spend(log_megabytes(folder, logs) * _LISTS_PER_MEGABYTE)
    target = here.served.bundle.target if here.served.has_behaviors else None
    report = await asyncio.to_thread(report_of, folder, logs, target)
    return document(report)


def _row(impression: Impression) -> ImpressionRow:
    moment = time.time() if impression.time is None else impression.time
    return {
        "answer": impression.answer,
        "user_id": impression.user,
        "timestamp": int(moment),
        "items": [shown.item for shown in impression.items],
        "places": [shown.place for shown in impression.items],
    }

"""Which bundle answers. Every call is recorded."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as InQuery

from recsys.core.artefacts import RunFolder
from recsys.releases.life_cycle import Load, listed
from recsys.releases.life_cycle import promote as promote_bundle
from recsys.releases.life_cycle import rollback as roll_back
from serving.bodies.admin import PromoteBody
from serving.context import Context
from serving.documents import Bundles, Job
from serving.jobs import Outcome, Tell
from serving.problems import BUG, Refused
from serving.routes.body import BodyRoute
from serving.routes.wire import Here, document

WAIT_SECONDS = 10.0
Wait = Annotated[
    float,
    InQuery(ge=0, le=WAIT_SECONDS, allow_inf_nan=False, description="Seconds; then 202."),
]
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="As `job` of its document.")]
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": Job, "description": "It goes on: ask GET /v1/admin/jobs/{job}."}
}

router = APIRouter(prefix="/v1/admin", tags=["admin"], route_class=BodyRoute)


@router.get("/bundles", response_model=Bundles)
async def bundles(here: Here) -> Response:
    """The bundles of the run, newest first."""
    folder = _run(here)
    of_run = await here.service.run(lambda served: listed(folder))
    documents = [asdict(bundle) for bundle in of_run]
    return document({"bundles": documents, "model_version": here.served.version})


@router.get("/jobs/{job}", response_model=Job)
async def job(here: Here, job: JobId) -> Response:
    """How far it is."""
    return document(here.jobs.get(job))


@router.post("/reload", response_model=Job, responses=_ACCEPTED)
async def reload(here: Here, request: Request, wait: Wait = WAIT_SECONDS) -> Response:
    """Load what the run's link names now; a bundle that fails verification is refused (409), the
    old one goes on.
    """
    return await _switched(here, request, "reload", wait, lambda load: None)


@router.post("/promote", response_model=Job, responses=_ACCEPTED)
async def promote(
    here: Here, request: Request, body: PromoteBody, wait: Wait = WAIT_SECONDS
) -> Response:
    """Make a bundle of the run the live one, for this service and all that follow the run."""
    folder = _run(here)
    action = f"promote {body.bundle}"
    if body.force:
        action += " by force"
    return await _switched(
        here,
        request,
        action,
        wait,
        lambda load: promote_bundle(folder, body.bundle, body.force, load),
    )


@router.post("/rollback", response_model=Job, responses=_ACCEPTED)
async def rollback(here: Here, request: Request, wait: Wait = WAIT_SECONDS) -> Response:
    """Make the bundle live that was so before the present one."""
    folder = _run(here)
    return await _switched(here, request, "rollback", wait, lambda load: roll_back(folder, load))


def _run(here: Context) -> RunFolder:
    """Raises Refused (404) for a service over a bundle that belongs to no run."""
    if here.settings.run is None:
        raise Refused(
            404,
            "this service serves one bundle, not a run",
            "Start it on a run folder",
            code="not_offered",
        )
    return RunFolder(here.settings.run)


async def _switched(
    here: Context, request: Request, action: str, wait: float, change: Callable[[Load], object]
) -> Response:
    """A job that does it and loads what is live then: 200 where it ends while the client waits, else
    202 with the place to ask. Raises Refused: 409 when either is refused, 500 for a bug.

    change: verifies what it makes live by its argument.
    """

    def work(tell: Tell) -> Outcome:
        before = here.served.version
        return here.state.switch(change, tell).version, before

    key: str = request.scope["key"]
    name, end = await asyncio.to_thread(here.jobs.start, key, action, work)
    await asyncio.wait((asyncio.wrap_future(end),), timeout=wait)
    job = here.jobs.get(name)
    if job["state"] == "refused":
        raise Refused(409, job["detail"], job["remedy"], code=job["code"])
    if job["state"] == "failed":
        raise Refused(500, f"{action} failed: {job['detail']}", BUG, code=job["code"])
    if job["state"] == "done":
        return document(job)
    return document(job, 202, {"Location": f"{here.settings.prefix}/v1/admin/jobs/{name}"})

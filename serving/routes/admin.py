"""Which bundle answers. Every call is recorded."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from recsys.core.artefacts import RunFolder
from recsys.core.errors import RecsysError
from recsys.releases.life_cycle import listed
from recsys.releases.life_cycle import promote as promote_bundle
from recsys.releases.life_cycle import rollback as roll_back
from serving.bodies import PromoteBody
from serving.context import Context
from serving.documents import Bundles, Switched
from serving.problems import Refused
from serving.routes.wire import Here, document

router = APIRouter(prefix="/v1/admin", tags=["admin"])


@router.get("/bundles", response_model=Bundles)
async def bundles(here: Here) -> Response:
    """The bundles of the run, newest first."""
    folder = _run(here)
    of_run = await here.service.run(lambda served: listed(folder))
    documents = [asdict(bundle) for bundle in of_run]
    return document({"bundles": documents, "model_version": here.served.version})


@router.post("/reload", response_model=Switched)
async def reload(here: Here, request: Request) -> Response:
    """Load what the run's link names now; a bundle that fails verification is refused (409), the
    old one goes on.
    """
    return await _switched(here, request, "reload", lambda: None)


@router.post("/promote", response_model=Switched)
async def promote(here: Here, request: Request, body: PromoteBody) -> Response:
    """Make a bundle of the run the live one, for this service and all that follow the run."""
    folder = _run(here)
    action = f"promote {body.bundle}"
    if body.force:
        action += " by force"
    return await _switched(
        here, request, action, lambda: promote_bundle(folder, body.bundle, body.force)
    )


@router.post("/rollback", response_model=Switched)
async def rollback(here: Here, request: Request) -> Response:
    """Make the bundle live that was so before the present one."""
    folder = _run(here)
    return await _switched(here, request, "rollback", lambda: roll_back(folder))


def _run(here: Context) -> RunFolder:
    """Raises Refused (404) for a service over a bundle that belongs to no run."""
    if here.settings.run is None:
        raise Refused(404, "this service serves one bundle, not a run", "Start it on a run folder")
    return RunFolder(here.settings.run)


async def _switched(
    here: Context, request: Request, action: str, change: Callable[[], object]
) -> Response:
    """Do it, load what is live then, keep a record. Raises Refused (409) when either is refused."""
    key: str = request.scope["key"]
    # Not in the service's own threads: loading a bundle takes seconds, and others wait for theirs.
    return document(await asyncio.to_thread(_switch, here, key, action, change))


def _switch(here: Context, key: str, action: str, change: Callable[[], object]) -> Switched:
    before = here.served.version
    try:
        change()
        served = here.state.reload()
    except RecsysError as error:
        here.audit.write(key, action, f"refused: {error}")
        raise Refused(409, error.message, error.remedy) from error
    here.audit.write(key, action, served.version)
    return {"model_version": served.version, "before": before}

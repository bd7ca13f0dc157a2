"""Whether the service lives, whether it can answer, its figures, and its page."""

from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from serving.documents import Health, Ready
from serving.problems import Refused
from serving.routes.wire import Here, document

router = APIRouter(tags=["probes"])

PAGE = Path(__file__).parent.parent / "page"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """The process answers."""
    return document({"status": "ok"})


@router.get("/readyz", response_model=Ready)
async def readyz(here: Here) -> Response:
    """A verified bundle is loaded, and the service was not told to stop; tells when a newer bundle
    was refused.
    """
    if here.state.is_stopping:
        raise Refused(503, "the service stops", "Ask another", code="stopping")
    ready: Ready = {"status": "ready", "model_version": here.served.version}
    if here.state.refused is not None:
        ready["refused"] = "a newer bundle was refused: the service's log says why"
    if note := here.trials.note:
        ready["experiment"] = note
    return document(ready)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(here: Here) -> Response:
    """For Prometheus."""
    return Response(here.metrics.text(), headers={"content-type": _TEXT})


@router.get("/", include_in_schema=False)
async def page() -> Response:
    index = PAGE / "index.html"
    if not index.is_file():
        raise Refused(
            404,
            "this installation has no page",
            "The API is described at /openapi.json",
            code="not_offered",
        )
    return FileResponse(index)

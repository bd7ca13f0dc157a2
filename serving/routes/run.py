"""What a run left beside the bundle that answers: its report, and its other bundles."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from recsys.core.artefacts import RunFolder, read_json
from serving.bodies import OtherBody
from serving.context import Context
from serving.documents import Answers
from serving.problems import Refused
from serving.routes.wire import Here, document

router = APIRouter(prefix="/v1", tags=["run"])

_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
_Responses = dict[int | str, dict[str, Any]]
_HTML: _Responses = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}
_JSON: _Responses = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}


@router.get("/report", response_class=Response, responses=_JSON)
async def report(here: Here) -> Response:
    """How the run's models did on its test, as report.json."""
    return Response(_report(here, "report.json").read_bytes(), media_type="application/json")


@router.get("/report.html", response_class=Response, responses=_HTML)
async def report_page(here: Here) -> Response:
    """The same to read; it holds styles and drawings, and may run nothing."""
    headers = {"content-security-policy": _REPORT_POLICY}
    return Response(
        _report(here, "report.html").read_bytes(), headers=headers, media_type="text/html"
    )


@router.get("/run", response_class=Response, responses=_JSON)
async def run(here: Here) -> Response:
    """How far the run is whose folder is served: its status, and the stage that is at work."""
    if here.settings.run is None:
        raise Refused(
            404, "no run folder is served", "Start the service on a run folder, not on a bundle"
        )
    folder = RunFolder(here.settings.run)
    manifest = folder.read_manifest()
    status = manifest.get("status", "unknown")
    at_work = None
    if status == "running" and folder.progress.exists():
        at_work = read_json(folder.progress)
    return JSONResponse(
        {"status": status, "finished": len(manifest.get("stages", {})), "at_work": at_work}
    )


@router.post("/admin/recommend", response_model=Answers)
async def recommend(here: Here, body: OtherBody) -> Response:
    """Lists of another bundle of the run, to compare; the first call loads and verifies it."""
    queries = [request.query() for request in body.requests]
    answers = await here.service.recommend_by(
        lambda: here.others.get(body.bundle), queries, body.options()
    )
    return document(answers)


def _report(here: Context, name: str) -> Path:
    """Raises Refused (404) where there is none."""
    run = here.settings.run
    path = None if run is None else RunFolder(run).report / name
    if path is None or not path.is_file():
        raise Refused(
            404,
            "there is no report beside this bundle",
            "Start the service on the folder of a finished run",
        )
    return path

"""What a run left beside the bundle that answers: its report, and its other bundles."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from recsys.bundle.parts.run_report import RunReport
from recsys.core.artefacts import RunFolder, read_json
from serving.bodies.lists import OtherBody, OtherExplainBody
from serving.caller import Caller
from serving.documents import Answers, Explained
from serving.problems import Refused
from serving.routes.body import BodyRoute
from serving.routes.wire import Here, document, unchanging
from serving.state import Served

router = APIRouter(prefix="/v1", tags=["run"], route_class=BodyRoute)

_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
_Responses = dict[int | str, dict[str, Any]]
_HTML: _Responses = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}
_JSON: _Responses = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}


@router.get("/report", response_class=Response, responses=_JSON)
async def report(here: Here, request: Request) -> Response:
    """How the run that made the bundle did on its test, and which bundle that is: the one that
    answers.
    """
    served = here.served
    facts = {**_report(served).document, "model_version": served.version}
    return unchanging(request, orjson.dumps(facts))


@router.get("/report.html", response_class=Response, responses=_HTML)
async def report_page(here: Here) -> Response:
    """The same to read; it holds styles and drawings, and may run nothing."""
    served = here.served
    headers = {"content-security-policy": _REPORT_POLICY, "x-recsys-bundle": served.version}
    return Response(_report(served).page, headers=headers, media_type="text/html")


@router.get("/run", response_class=Response, responses=_JSON)
async def run(here: Here) -> Response:
    """How far the run is whose folder is served: its status, and the stage that is at work."""
    if here.settings.run is None:
        raise Refused(
            404,
            "no run folder is served",
            "Start the service on a run folder, not on a bundle",
            code="not_offered",
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
async def recommend_of_bundle(here: Here, request: Request, body: OtherBody) -> Response:
    """Lists of another bundle of the run, to compare; the first call loads and verifies it."""
    queries = [query_body.query() for query_body in body.requests]
    answers = await here.service.recommend(
        queries, body.options(), Caller(request), lambda: here.others.get(body.bundle)
    )
    return document(answers)


@router.post("/admin/explain", response_model=Explained)
async def explain_of_bundle(here: Here, request: Request, body: OtherExplainBody) -> Response:
    """Why another bundle of the run would give an item its score."""
    explained = await here.service.explain(
        body.why(), Caller(request), lambda: here.others.get(body.bundle)
    )
    return document(explained)


def _report(served: Served) -> RunReport:
    """Raises Refused (404) where the bundle has none."""
    report = served.bundle.report
    if report is None:
        raise Refused(
            404,
            f"bundle {served.version} carries no report",
            "It was served before its run was tested, or is of an older version: finish the run",
            code="not_offered",
        )
    return report

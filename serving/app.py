"""The HTTP application over one bundle: top-k lists, likenesses and reasons as JSON."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from recsys.core.errors import RecsysError
from recsys.index.lookup import Answer, Event, Lookup

MAX_K = 1000
MAX_REQUESTS = 256

K = Annotated[int, Query(ge=1, le=MAX_K)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HistoryEvent(_Body):
    """One event of a visitor. time: unix seconds; now when absent."""

    item: str
    behavior: str | None = None
    time: float | None = None


class Wanted(_Body):
    """One list: for a user, or for a visitor by the events."""

    user: str | None = None
    history: list[HistoryEvent] | None = None


class Recommend(_Body):
    """Several lists under the same rules. allow, deny: item ids."""

    requests: list[Wanted] = Field(min_length=1, max_length=MAX_REQUESTS)
    k: int = Field(10, ge=1, le=MAX_K)
    exclude_seen: bool = True
    allow: list[str] | None = None
    deny: list[str] | None = None


class Similar(_Body):
    """Items like one item; the twin of the GET for ids that do not fit a path."""

    item: str
    k: int = Field(10, ge=1, le=MAX_K)


class Explain(_Body):
    """Why an item for a user or a visitor; the largest `parts` shares."""

    item: str
    user: str | None = None
    history: list[HistoryEvent] | None = None
    parts: int = Field(10, ge=0)


def make_app(lookup: Lookup) -> FastAPI:
    """The application; it holds `lookup` for its whole life."""
    version = lookup.bundle.path.resolve().name
    app = FastAPI(title="recsys", version=version, docs_url=None, redoc_url=None)
    app.add_exception_handler(RecsysError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/model")
    def model() -> dict[str, Any]:
        bundle = lookup.bundle
        sizes = {"users": len(bundle.users), "items": len(bundle.items)}
        return {"model_version": version, **sizes, "model_card": bundle.model_card, "index_card": bundle.index_card}

    @app.get("/v1/recommend/{user}")
    def recommend_one(user: str, k: K = 10, exclude_seen: bool = True) -> dict[str, Any]:
        [answer] = lookup.recommend([user], k, exclude_seen=exclude_seen, fallback="popularity")
        return {**answer, "model_version": version}

    @app.post("/v1/recommend")
    def recommend(body: Recommend) -> dict[str, Any]:
        answers = [_one_list(lookup, wanted, body) for wanted in body.requests]
        return {"answers": answers, "model_version": version}

    @app.get("/v1/similar/{item}")
    def similar_one(item: str, k: K = 10) -> dict[str, Any]:
        return {**lookup.similar_items([item], k)[0], "model_version": version}

    @app.post("/v1/similar")
    def similar(body: Similar) -> dict[str, Any]:
        return {**lookup.similar_items([body.item], body.k)[0], "model_version": version}

    @app.post("/v1/explain")
    def explain(body: Explain) -> dict[str, Any]:
        return {**lookup.explain(body.user, body.item, history=_events(body.history), parts=body.parts)}

    return app


def _one_list(lookup: Lookup, wanted: Wanted, body: Recommend) -> Answer:
    events = _events(wanted.history)
    [answer] = lookup.recommend(
        None if wanted.user is None else [wanted.user],
        body.k,
        histories=[events or []] if events is not None or wanted.user is None else None,
        exclude_seen=body.exclude_seen,
        allow=body.allow,
        deny=body.deny,
        fallback="popularity",
    )
    return answer


def _events(history: list[HistoryEvent] | None) -> list[Event] | None:
    return None if history is None else [Event(one.item, one.behavior, one.time) for one in history]


def _problem(request: Request, error: Exception) -> JSONResponse:
    """Errors as problem documents (RFC 9457): what was wrong, and what to do."""
    detail, remedy = (error.message, error.remedy) if isinstance(error, RecsysError) else (str(error), "")
    status = 400 if isinstance(error, RecsysError) and error.exit_code == 2 else 500
    return _problem_document(status, detail, remedy)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    place = ".".join(str(part) for part in first["loc"])
    return _problem_document(422, f"{place}: {first['msg']}", "See /openapi.json for the fields and their ranges")


def _problem_document(status: int, detail: str, remedy: str) -> JSONResponse:
    document = {"type": "about:blank", "status": status, "detail": detail, "remedy": remedy}
    return JSONResponse(document, status_code=status, media_type="application/problem+json")

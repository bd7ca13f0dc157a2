"""Lists and explanations."""

from fastapi import APIRouter, Request, Response

from recsys.lookup.query import Query
from serving.bodies import (
    ExplainBody,
    Id,
    QueryParts,
    QueryPopularity,
    RecommendBody,
    RecommendQuery,
)
from serving.context import Context
from serving.documents import Answer, Answers, Explained
from serving.routes.query import described, read_query
from serving.routes.wire import Here, document

router = APIRouter(prefix="/v1", tags=["recommend"])


@router.get(
    "/recommend/{user:path}",
    response_model=Answer,
    openapi_extra=described(RecommendQuery, path="user"),
)
async def recommend_user(request: Request) -> Response:
    """The best items for a user; for an unknown one the most popular, and `source` says so."""
    parameters = read_query(RecommendQuery, request)
    here: Context = request.app.state.context
    answer = await here.service.recommend_one(Query(parameters.user), parameters.options())
    return document(answer)


@router.post("/recommend", response_model=Answers)
async def recommend(here: Here, body: RecommendBody) -> Response:
    """Several lists at once, for users and visitors, all from the same bundle."""
    queries = [request.query() for request in body.requests]
    options = body.options()
    if len(queries) > 1:
        return document(await here.service.recommend(queries, options))
    answer = await here.service.recommend_one(queries[0], options)
    return document({"answers": [answer], "model_version": answer["model_version"]})


@router.get("/explain", response_model=Explained)
async def explain_user(
    here: Here, item: Id, user: Id, parts: QueryParts = 10, popularity: QueryPopularity = 0.0
) -> Response:
    """Why an item for a user: the score as a sum of shares, and in words."""
    return document(await here.service.explain(Query(user), item, parts, popularity))


@router.post("/explain", response_model=Explained)
async def explain(here: Here, body: ExplainBody) -> Response:
    """Why an item for a user, a visitor, or a user with new events."""
    explained = await here.service.explain(body.query(), body.item, body.parts, body.popularity)
    return document(explained)

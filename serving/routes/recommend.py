"""Lists and explanations."""

from fastapi import APIRouter, Request, Response

from recsys.lookup.query import Query
from serving.bodies.fields import Id, QueryMoment, QueryParts, QueryPopularity
from serving.bodies.lists import ExplainBody, RecommendBody, RecommendQuery
from serving.caller import Caller
from serving.context import Context
from serving.documents import Answer, Answers, Explained
from serving.routes.body import BodyRoute
from serving.routes.query import described, read_query
from serving.routes.wire import Here, document
from serving.service import Why

router = APIRouter(prefix="/v1", tags=["recommend"], route_class=BodyRoute)


@router.get(
    "/recommend/{user:path}",
    response_model=Answer,
    openapi_extra=described(RecommendQuery, path="user"),
)
async def recommend_user(request: Request) -> Response:
    """The best items for a user; for an unknown one the most popular, and `source` says so."""
    parameters = read_query(RecommendQuery, request)
    here: Context = request.app.state.context
    query, options = Query(parameters.user), parameters.options()
    answers = await here.service.recommend_one(query, options, Caller(request))
    return document(answers["answers"][0])


@router.post("/recommend", response_model=Answers)
async def recommend(here: Here, request: Request, body: RecommendBody) -> Response:
    """Several lists at once, for users and visitors, all from the same bundle."""
    queries = [query_body.query() for query_body in body.requests]
    options = body.options()
    caller = Caller(request)
    if len(queries) > 1:
        return document(await here.service.recommend(queries, options, caller))
    return document(await here.service.recommend_one(queries[0], options, caller))


@router.get("/explain", response_model=Explained)
async def explain_user(
    here: Here,
    request: Request,
    item: Id,
    user: Id,
    parts: QueryParts = 10,
    popularity: QueryPopularity = 0.0,
    moment: QueryMoment | None = None,
) -> Response:
    """Why an item for a user: the score as a sum of shares, and in words."""
    why = Why(Query(user), item, parts, popularity, moment)
    return document(await here.service.explain(why, Caller(request)))


@router.post("/explain", response_model=Explained)
async def explain(here: Here, request: Request, body: ExplainBody) -> Response:
    """Why an item for a user, a visitor, or a user with new events."""
    return document(await here.service.explain(body.why(), Caller(request)))

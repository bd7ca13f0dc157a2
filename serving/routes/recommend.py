"""Lists and reasons."""

from fastapi import APIRouter, Request, Response

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
from serving.questions import Question
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
    asked = read_query(RecommendQuery, request)
    here: Context = request.app.state.context
    return document(await here.service.recommend_one(Question(asked.user), asked.rules()))


@router.post("/recommend", response_model=Answers)
async def recommend(here: Here, body: RecommendBody) -> Response:
    """Several lists at once, for users and visitors, all from the same bundle."""
    questions = [one.question() for one in body.requests]
    rules = body.rules()
    if len(questions) > 1:
        return document(await here.service.recommend(questions, rules))
    answer = await here.service.recommend_one(questions[0], rules)
    return document({"answers": [answer], "model_version": answer["model_version"]})


@router.get("/explain", response_model=Explained)
async def explain_user(
    here: Here, item: Id, user: Id, parts: QueryParts = 10, popularity: QueryPopularity = 0.0
) -> Response:
    """Why an item for a user: the score as a sum of shares."""
    question = Question(user)
    return document(
        await here.service.run(
            lambda served: here.service.explain(served, question, item, parts, popularity)
        )
    )


@router.post("/explain", response_model=Explained)
async def explain(here: Here, body: ExplainBody) -> Response:
    """Why an item for a user, a visitor, or a user with new events."""
    question = body.question()
    return document(
        await here.service.run(
            lambda served: here.service.explain(
                served, question, body.item, body.parts, body.popularity
            )
        )
    )

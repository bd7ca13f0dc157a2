"""Lists and reasons."""

from typing import Any

from fastapi import APIRouter, Response

from recsys.core.errors import UsageError
from serving.bodies import (
    ExplainBody,
    Filter,
    Id,
    PathId,
    QueryDiversity,
    QueryK,
    QueryOffset,
    QueryParts,
    QueryPopularity,
    RecommendBody,
)
from serving.documents import Answer, Answers, Explained
from serving.questions import Question, Rules, Values
from serving.routes.wire import Here, document

router = APIRouter(prefix="/v1", tags=["recommend"])


@router.get("/recommend/{user:path}", response_model=Answer)
async def recommend_user(
    here: Here,
    user: PathId,
    k: QueryK = 10,
    offset: QueryOffset = 0,
    exclude_seen: bool = True,
    category: str | None = None,
    filter: Filter = None,
    popularity: QueryPopularity = 0.0,
    diversity: QueryDiversity = 0.0,
    explain: bool = False,
) -> Response:
    """The best items for a user; for an unknown one the most popular, and `source` says so."""
    named = [*(filter or ()), *([] if category is None else [f"category:{category}"])]
    rules = Rules(
        k, offset, exclude_seen, filters=_filters(named), popularity=popularity, diversity=diversity, explain=explain
    )
    return document(await here.service.recommend_one(Question(user), rules))


@router.post("/recommend", response_model=Answers)
async def recommend(here: Here, body: RecommendBody) -> Response:
    """Several lists at once, for users and visitors, all from the same bundle."""
    questions = [one.question() for one in body.requests]
    rules = _rules(body)
    if len(questions) > 1:
        return document(await here.service.recommend(questions, rules))
    answer = await here.service.recommend_one(questions[0], rules)
    return document({"answers": [answer], "model_version": answer["model_version"]})


@router.get("/explain", response_model=Explained)
async def explain_user(here: Here, item: Id, user: Id, parts: QueryParts = 10) -> Response:
    """Why an item for a user: the score as a sum of shares."""
    return document(await here.service.run(lambda served: here.service.explain(served, Question(user), item, parts)))


@router.post("/explain", response_model=Explained)
async def explain(here: Here, body: ExplainBody) -> Response:
    """Why an item for a user, a visitor, or a user with new events."""
    question = body.question()
    return document(
        await here.service.run(lambda served: here.service.explain(served, question, body.item, body.parts))
    )


def _rules(body: RecommendBody) -> Rules:
    given: dict[str, Any] = body.model_dump(exclude={"requests", "filters", "allow", "deny"})
    allow, deny = (None if ids is None else tuple(ids) for ids in (body.allow, body.deny))
    filters = tuple((column, tuple(values)) for column, values in body.filters.items())
    return Rules(**given, allow=allow, deny=deny, filters=filters)


def _filters(named: list[str]) -> Values:
    """From COLUMN:VALUE texts. Raises UsageError for one without a colon."""
    values: dict[str, tuple[str, ...]] = {}
    for one in named:
        column, colon, value = one.partition(":")
        if not colon:
            raise UsageError(f"filter {one!r} has no column and value", "Write for example genre:Drama")
        values[column] = (*values.get(column, ()), value)
    return tuple(values.items())

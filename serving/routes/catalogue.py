"""Items, users, their likes, and the model."""

import orjson
from fastapi import APIRouter, Request, Response

from serving import catalogue
from serving.bodies.catalogue import (
    ItemsBody,
    ItemUsersBody,
    SimilarBody,
    SimilarUsersBody,
    UserBody,
)
from serving.bodies.fields import PathId, QueryK, Text
from serving.context import Context
from serving.documents import (
    Answer,
    AttributeColumns,
    CatalogueItem,
    CatalogueItems,
    FoundUsers,
    ItemUsers,
    KnownUser,
    Model,
)
from serving.routes.body import BodyRoute
from serving.routes.wire import Here, document, unchanging
from serving.state import Served
from serving.who_had import who_had

router = APIRouter(prefix="/v1", tags=["catalogue"], route_class=BodyRoute)


@router.get("/model", response_model=Model)
async def model(here: Here, request: Request) -> Response:
    """The bundle that answers, with its cards."""
    return unchanging(request, orjson.dumps(catalogue.describe(here.served)))


@router.get("/similar/{item:path}", response_model=Answer)
async def similar_items(here: Here, item: PathId, k: QueryK = 10) -> Response:
    """The available items most similar to an item, as validation chose it: by the cosine of their
    vectors (`source` model), or what a visitor who has it alone is recommended (`source` fold_in).
    """
    return document(await here.service.run(lambda served: catalogue.similar_items(served, item, k)))


@router.post("/similar", response_model=Answer)
async def similar_to_item(here: Here, body: SimilarBody) -> Response:
    """The same by POST."""
    return document(
        await here.service.run(lambda served: catalogue.similar_items(served, body.item, body.k))
    )


@router.get("/similar-users/{user:path}", response_model=Answer)
async def similar_users(here: Here, user: PathId, k: QueryK = 10) -> Response:
    """The users nearest to a user by cosine."""
    return document(await here.service.run(lambda served: catalogue.similar_users(served, user, k)))


@router.post("/similar-users", response_model=Answer)
async def similar_to_user(here: Here, body: SimilarUsersBody) -> Response:
    """The same by POST."""
    return document(
        await here.service.run(lambda served: catalogue.similar_users(served, body.user, body.k))
    )


@router.get("/attributes", response_model=AttributeColumns)
async def attributes(here: Here, request: Request, k: QueryK = 50) -> Response:
    """What filters may name: by column of the items its most frequent values."""
    columns = await here.service.run(lambda served: catalogue.attributes(served, k))
    return unchanging(request, orjson.dumps(columns))


@router.get("/items", response_model=CatalogueItems)
async def find_items(here: Here, text: Text = "", k: QueryK = 10) -> Response:
    """Items whose id or title holds the text: the one whose id it is, then the most popular."""
    return document(await here.service.run(lambda served: catalogue.find_items(served, text, k)))


@router.get("/items/{item:path}", response_model=CatalogueItem)
async def item(here: Here, item: PathId) -> Response:
    """What the bundle knows of an item."""
    return document(await here.service.run(lambda served: catalogue.item(served, item)))


@router.get("/item-users/{item:path}", response_model=ItemUsers)
async def item_users(here: Here, item: PathId, k: QueryK = 10) -> Response:
    """Users who had an item."""
    return document(await here.service.run(lambda served: who_had(served, item, k)))


@router.post("/item-users", response_model=ItemUsers)
async def item_users_by_body(here: Here, body: ItemUsersBody) -> Response:
    """The same by POST."""
    return document(await here.service.run(lambda served: who_had(served, body.item, body.k)))


@router.post("/items", response_model=CatalogueItems)
async def items(here: Here, body: ItemsBody) -> Response:
    """What the bundle knows of some items."""
    return document(await here.service.run(lambda served: catalogue.items(served, body.items)))


@router.get("/users", response_model=FoundUsers)
async def find_users(here: Here, text: Text = "", k: QueryK = 10) -> Response:
    """Users whose id holds the text, the shortest first."""
    return document(await here.service.run(lambda served: catalogue.find_users(served, text, k)))


@router.get("/users/{user:path}", response_model=KnownUser)
async def user(here: Here, user: PathId, k: QueryK = 100) -> Response:
    """What is known of a user: events that the bundle has learnt from, and live ones."""
    return await _user(here, user, k)


@router.post("/users", response_model=KnownUser)
async def user_by_body(here: Here, body: UserBody) -> Response:
    """The same by POST."""
    return await _user(here, body.user, body.k)


async def _user(here: Context, user_id: str, k: int) -> Response:
    def answer(served: Served) -> KnownUser:
        here.live.refresh()
        return catalogue.user(served, user_id, here.live.of(user_id), k)

    return document(await here.service.run(answer))

"""Items, users, their likes, and the model."""

from fastapi import APIRouter, Response

from serving import catalogue
from serving.bodies import ItemsBody, PathId, QueryK, SimilarBody, SimilarUsersBody, Text
from serving.documents import (
    Answer,
    AttributeColumns,
    CatalogueItem,
    CatalogueItems,
    FoundUsers,
    Model,
)
from serving.routes.wire import Here, document

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/model", response_model=Model)
async def model(here: Here) -> Response:
    """The bundle that answers, with its cards."""
    return document(catalogue.describe(here.served))


@router.get("/similar/{item:path}", response_model=Answer)
async def similar(here: Here, item: PathId, k: QueryK = 10) -> Response:
    """The available items nearest to an item by cosine."""
    return document(await here.service.run(lambda served: catalogue.similar_items(served, item, k)))


@router.post("/similar", response_model=Answer)
async def similar_twin(here: Here, body: SimilarBody) -> Response:
    """The same by POST."""
    return document(
        await here.service.run(lambda served: catalogue.similar_items(served, body.item, body.k))
    )


@router.get("/similar-users/{user:path}", response_model=Answer)
async def similar_users(here: Here, user: PathId, k: QueryK = 10) -> Response:
    """The users nearest to a user by cosine."""
    return document(await here.service.run(lambda served: catalogue.similar_users(served, user, k)))


@router.post("/similar-users", response_model=Answer)
async def similar_users_twin(here: Here, body: SimilarUsersBody) -> Response:
    """The same by POST."""
    return document(
        await here.service.run(lambda served: catalogue.similar_users(served, body.user, body.k))
    )


@router.get("/attributes", response_model=AttributeColumns)
async def attributes(here: Here, k: QueryK = 50) -> Response:
    """What filters may name: by column of the items its most frequent values."""
    return document(await here.service.run(lambda served: catalogue.attributes(served, k)))


@router.get("/items", response_model=CatalogueItems)
async def find_items(here: Here, text: Text = "", k: QueryK = 10) -> Response:
    """Items whose id or title holds the text: the one whose id it is, then the most popular."""
    return document(await here.service.run(lambda served: catalogue.find_items(served, text, k)))


@router.get("/items/{item:path}", response_model=CatalogueItem)
async def item(here: Here, item: PathId) -> Response:
    """What the bundle knows of an item."""
    return document(await here.service.run(lambda served: catalogue.item(served, item)))


@router.post("/items", response_model=CatalogueItems)
async def items(here: Here, body: ItemsBody) -> Response:
    """What the bundle knows of some items."""
    return document(await here.service.run(lambda served: catalogue.items(served, body.items)))


@router.get("/users", response_model=FoundUsers)
async def find_users(here: Here, text: Text = "", k: QueryK = 10) -> Response:
    """Users whose id holds the text, the shortest first."""
    return document(await here.service.run(lambda served: catalogue.find_users(served, text, k)))

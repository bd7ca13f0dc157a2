"""Bodies that ask for what is known of items and users, for ids that no path can hold."""

from typing import Annotated

from pydantic import Field

from serving.bodies.fields import (
    MAX_K,
    Body,
    Id,
    K,
)
from serving.bodies.sliced import Aside


class SimilarBody(Body):
    """Items like one item."""

    item: Id
    k: K = 10


class SimilarUsersBody(Body):
    """Users like one user."""

    user: Id
    k: K = 10


class ItemUsersBody(Body):
    """Users who had an item. k: how many are named."""

    item: Id
    k: K = 10


class UserBody(Body):
    """What is known of a user. k: how many events, the latest."""

    user: Id
    k: K = 100


class ItemsBody(Body):
    """What the bundle knows of some items."""

    items: Annotated[list[Id], Field(min_length=1, max_length=MAX_K), Aside()]

"""What the service answers: the documents of the API, shared by the application, its OpenAPI page
and the client.
"""

from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic reads that of `typing` from Python 3.12 on only

from recsys.lookup import answers
from recsys.lookup.explanations import documents


class Answer(answers.Answer):
    """One list, and the bundle that gave it."""

    model_version: str


class Answers(TypedDict):
    """The lists in the order of the requests, all from one bundle."""

    answers: list[Answer]
    model_version: str


class Explained(documents.Explained):
    """Why an item has its score: score = Σ shares of parts + others + trend + popularity + rest."""

    model_version: str


class CatalogueItem(TypedDict):
    """What the bundle knows of an item. popularity: users who had it, by behaviour; `all` counts
    each user once.
    """

    id: str
    available: bool
    popularity: dict[str, int]
    attributes: dict[str, Any]
    title: NotRequired[str]


class CatalogueItems(TypedDict):
    items: list[CatalogueItem]
    unknown: list[str]
    model_version: str


class FoundUsers(TypedDict):
    users: list[str]
    model_version: str


class AttributeValue(TypedDict):
    """items: how many have it."""

    value: str
    items: int


class AttributeColumn(TypedDict):
    """What a filter may name. values: the most frequent ones, of `distinct`."""

    column: str
    distinct: int
    values: list[AttributeValue]


class AttributeColumns(TypedDict):
    columns: list[AttributeColumn]
    model_version: str


class Model(TypedDict):
    """The bundle that answers. loaded: unix seconds."""

    model_version: str
    users: int
    items: int
    target: str
    behaviors: list[str]
    loaded: float
    model_card: dict[str, Any]
    index_card: dict[str, Any]


class Accepted(TypedDict):
    """Events that are on disk now. unknown: their item ids that the bundle does not know; they are
    kept all the same.
    """

    accepted: int
    unknown: list[str]


class Health(TypedDict):
    status: str


class Ready(TypedDict):
    """refused: why the newest bundle was not taken, when it was not."""

    status: str
    model_version: str
    refused: NotRequired[str]


class Switched(TypedDict):
    """Which bundle answers now, and which did before."""

    model_version: str
    before: str


class ListedBundle(TypedDict):
    """One bundle of the run. written: ISO, UTC. deciding, test: the metric that decides and its
    mean on the test.
    """

    name: str
    written: str
    live: bool
    rolls_back_to: bool
    bytes: int
    users: int
    items: int
    deciding: str | None
    test: float | None
    verdict: str | None


class Bundles(TypedDict):
    bundles: list[ListedBundle]
    model_version: str


class Problem(TypedDict):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str

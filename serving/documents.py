"""What the service answers: the documents of the API, shared by the application, its OpenAPI page
and the client.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads that of `typing` from Python 3.12 on only

from recsys.experiments.documents import Report
from recsys.lookup import answers
from recsys.lookup.explanations import documents
from serving.codes import CODES

Code = Annotated[str, Field(json_schema_extra={"enum": [*CODES]})]


class Answer(answers.Answer):
    """One list, and the bundle that gave it. answer: id of the list, for what was shown of it and done
    with it; lists of similar items and users have none.
    """

    model_version: str
    answer: NotRequired[str]


class Answers(TypedDict):
    """The lists in the order of the requests, all from one bundle, but for users of an experiment: each
    list says which.
    """

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


class ItemUsers(TypedDict):
    """Users from whose events with an item the bundle has learnt. users: the first of them, in the
    order of the bundle. total: how many there are.
    """

    item: str
    users: list[str]
    total: int
    model_version: str


class UserEvent(TypedDict):
    """One event of a user. time: unix seconds, or a place in the log's order. live: not learnt from
    yet, or the same event again.
    """

    item: str
    behavior: str
    live: bool
    time: NotRequired[float]
    title: NotRequired[str]


class KnownUser(TypedDict):
    """What is known of a user.

    known: whether the bundle has learnt from them.
    events: the latest first; live ones before those that were learnt from.
    learnt, live: how many there are of each.
    """

    user: str
    known: bool
    events: list[UserEvent]
    learnt: int
    live: int
    model_version: str


class AttributeValue(TypedDict):
    """items: how many have it."""

    value: str
    items: int


class AttributeColumn(TypedDict):
    """What a filter may name. values: the most frequent ones, of `distinct`; none of a column of numbers
    with a fraction, which is asked by ranges. least, most: of a column that holds numbers.
    """

    column: str
    distinct: int
    values: list[AttributeValue]
    least: NotRequired[float]
    most: NotRequired[float]


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


class RejectedEvent(TypedDict):
    """One of several events or impressions that was not taken. place: in the list that was sent, from 0."""

    place: int
    code: Code
    detail: str
    remedy: str


class Seen(TypedDict):
    """Impressions, or events, that are on disk now.

    accepted: how many were written just now.
    repeated: those that were there already.
    forgotten: those of people whom the run was told to forget; they were thrown away.
    rejected: those that cannot be.
    """

    accepted: int
    repeated: NotRequired[int]
    forgotten: NotRequired[int]
    rejected: NotRequired[list[RejectedEvent]]


class Accepted(Seen):
    """Events that are on disk now.

    unknown: their item ids that the bundle does not know; they are kept all the same.
    """

    unknown: list[str]


class Retracted(TypedDict):
    """retracted: how many events were in the log, and are no more."""

    retracted: int


class ExperimentReport(Report):
    """How the newest experiment of the run goes: rates by arm and day, comparisons with the control,
    power, and whether users are shared out as defined. `recsys experiment report --json` prints the
    same.
    """


class Health(TypedDict):
    status: str


class Ready(TypedDict):
    """refused: why the newest bundle was not taken, when it was not. experiment: what is wrong with the
    one under way, when something is.
    """

    status: str
    model_version: str
    refused: NotRequired[str]
    experiment: NotRequired[str]


JobState = Literal["waiting", "running", "done", "refused", "failed", "lost"]
"""lost: the process that worked at it has ended."""


class Job(TypedDict):
    """What an administrator asked for. share: of it that is done. began, ended: unix seconds.

    model_version, before: the bundle that answers once it is done, and the one before. code,
    detail, remedy: why it was refused or failed.
    """

    job: str
    action: str
    state: JobState
    share: float
    began: float
    process: int
    ended: NotRequired[float]
    model_version: NotRequired[str]
    before: NotRequired[str]
    code: NotRequired[Code]
    detail: NotRequired[str]
    remedy: NotRequired[str]


class ListedBundle(TypedDict):
    """One bundle of the run. held: it was never live. written: ISO, UTC. deciding, test: the metric that decides and its
    mean on the test.
    """

    name: str
    written: str
    live: bool
    rolls_back_to: bool
    held: bool
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
    """RFC 9457. code: a word that stays the same; type: the same as a URI. detail, remedy: for people."""

    type: str
    code: Code
    title: str
    status: int
    detail: str
    remedy: str

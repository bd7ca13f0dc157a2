"""What the service is asked: request bodies, checked before anything is computed."""

from typing import Annotated, Any

from fastapi import Path
from fastapi import Query as InQuery
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recsys.lookup.histories import Event
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query

MAX_K = 1000
MAX_REQUESTS = 256
MAX_HISTORY = 20_000
MAX_EVENTS = 1000
MAX_NAMED = 100_000
MAX_COLUMNS = 20
MAX_TIME = 4_102_444_800
"""2100-01-01, as the default of clean.max_time: a later event would be dropped by the next batch
run.
"""

_LONGEST_ID = 1024
_BUNDLE = r"^[0-9a-f]{12}$"
_OPTIONS = {name: field.description for name, field in ListOptions.model_fields.items()}


def _id_of_number(value: object) -> object:
    """Ids of a log of integers may be sent as numbers."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value


_IdText = Annotated[str, Field(max_length=_LONGEST_ID, description="Id as in the log.")]
Id = Annotated[_IdText, BeforeValidator(_id_of_number, json_schema_input_type=_IdText | int)]
PathId = Annotated[
    str, Path(max_length=_LONGEST_ID, description="Id as in the log; its POST twin takes any text.")
]
K = Annotated[int, Field(ge=1, le=MAX_K, description=_OPTIONS["k"])]
QueryK = Annotated[int, InQuery(ge=1, le=MAX_K, description=_OPTIONS["k"])]
Popularity = Annotated[float, Field(ge=-100, le=100, description=_OPTIONS["popularity"])]
QueryPopularity = Annotated[
    float, InQuery(ge=-100, le=100, allow_inf_nan=False, description=_OPTIONS["popularity"])
]
QueryParts = Annotated[
    int, InQuery(ge=0, le=MAX_K, description="Parts that are listed; the others are added up.")
]
FilterText = Annotated[str, Field(pattern=r"^[^:]+:", description="COLUMN:VALUE")]
Text = Annotated[
    str, InQuery(max_length=200, description="Part of an id or title, whatever the case.")
]
Time = Annotated[float, Field(ge=0, le=MAX_TIME, description="Unix seconds; now when absent.")]
Weight = Annotated[float, Field(gt=0, le=1e6, description="How much the event counts.")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class HistoryEvent(Body):
    """One event of a visitor. behavior: the target behaviour when absent."""

    item: Id
    behavior: str | None = None
    time: Time | None = None
    weight: Weight = 1.0

    def event(self) -> Event:
        return Event(self.item, self.behavior, self.time, self.weight)


class QueryBody(Body):
    """Who is asked about: a user, a visitor by events, attributes or friends, or a user with news.

    attributes: by column of the users, its values. friends: known users.
    """

    user: Id | None = None
    history: list[HistoryEvent] = Field(default=[], max_length=MAX_HISTORY)
    attributes: dict[str, list[str]] = Field(default={}, max_length=MAX_COLUMNS)
    friends: list[Id] = Field(default=[], max_length=MAX_K)

    def query(self) -> Query:
        """The same for lookup."""
        history = tuple(event.event() for event in self.history)
        return Query(self.user, history, self.attributes, self.friends)


class OptionsBody(ListOptions):
    """The options of a list, with the limits of the service."""

    k: int = Field(10, ge=1, le=MAX_K, description=_OPTIONS["k"])
    offset: int = Field(0, ge=0, le=MAX_K, description=_OPTIONS["offset"])
    allow: tuple[Id, ...] | None = Field(None, max_length=MAX_NAMED, description=_OPTIONS["allow"])
    deny: tuple[Id, ...] | None = Field(None, max_length=MAX_NAMED, description=_OPTIONS["deny"])
    filters: dict[str, tuple[str, ...]] = Field(
        {}, max_length=MAX_COLUMNS, description=_OPTIONS["filters"]
    )

    def options(self) -> ListOptions:
        """The same for lookup: equal options of several requests are answered together."""
        return ListOptions.model_validate(self._values())

    def _values(self) -> dict[str, Any]:
        """What was read, by option; attributes are read past pydantic, which takes its time."""
        return {name: self.__dict__[name] for name in _OPTIONS}


class RecommendQuery(OptionsBody):
    """One list for a user. category: short for filters=category:VALUE."""

    user: Id
    exclude_seen: bool = Field(True, description="Leave out what the user has seen.")
    filters: list[FilterText] = Field(  # type: ignore[assignment]
        [], max_length=MAX_COLUMNS, description="COLUMN:VALUE, which items must have."
    )
    filter: list[FilterText] = Field(
        [], max_length=MAX_COLUMNS, deprecated=True, description="Old name of `filters`."
    )
    category: str | None = None

    def options(self) -> ListOptions:
        """The same for lookup, with filters by column."""
        filters: dict[str, tuple[str, ...]] = {}
        old_filters = self.__dict__["filter"]  # read past pydantic's warning of deprecation
        for text in [*self.filters, *old_filters]:
            column, _, value = text.partition(":")
            filters[column] = (*filters.get(column, ()), value)
        if self.category is not None:
            filters["category"] = (*filters.get("category", ()), self.category)
        return ListOptions.model_validate({**self._values(), "filters": filters})


class RecommendBody(OptionsBody):
    """Several lists with the same options."""

    requests: list[QueryBody] = Field(min_length=1, max_length=MAX_REQUESTS)


class OtherBody(RecommendBody):
    """The same of another bundle of the run."""

    bundle: str = Field(pattern=_BUNDLE)


class SimilarBody(Body):
    """Items like one item."""

    item: Id
    k: K = 10


class SimilarUsersBody(Body):
    """Users like one user."""

    user: Id
    k: K = 10


class ExplainBody(QueryBody):
    """Why an item for a user or a visitor. parts: how many shares are listed, the largest.
    popularity: the boost of the list.
    """

    item: Id
    parts: int = Field(10, ge=0, le=MAX_K)
    popularity: Popularity = 0.0


class ItemsBody(Body):
    """What the bundle knows of some items."""

    items: list[Id] = Field(min_length=1, max_length=MAX_K)


class NewEvent(Body):
    """Somebody did something just now, or at `time`."""

    user: Id
    item: Id
    behavior: str | None = None
    time: Time | None = None
    weight: Weight = 1.0


class EventsBody(Body):
    """Events that the next answers take into account, and the next batch run reads."""

    events: list[NewEvent] = Field(min_length=1, max_length=MAX_EVENTS)


class PromoteBody(Body):
    """bundle: name of a bundle of the run. force: though its own report calls it worse than a
    baseline.
    """

    bundle: str = Field(pattern=_BUNDLE)
    force: bool = False

"""Bodies that ask for lists and explanations."""

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Discriminator, Field, Tag, with_config
from typing_extensions import TypedDict

from recsys.bundle.filters import Filter, read_filters
from recsys.lookup.histories import Event
from recsys.lookup.options import NOT_BOOLEAN, ListOptions
from recsys.lookup.query import Query
from serving.bodies.fields import (
    BUNDLE,
    MAX_COLUMNS,
    MAX_HISTORY,
    MAX_K,
    MAX_NAMED,
    MAX_REQUESTS,
    MAX_VALUES,
    OPTIONS,
    Behavior,
    Body,
    FilterText,
    FilterValues,
    Id,
    Moment,
    Names,
    Popularity,
    Time,
    Values,
    ValueText,
    Weight,
)
from serving.bodies.sliced import Aside
from serving.service import Why


@with_config(Body.model_config)
class HistoryEvent(TypedDict):
    """One event of a visitor. behavior: the target behaviour when absent.

    A dictionary: to make models of the events of a long history takes three times as long, in which
    nothing else is done.
    """

    item: Id
    behavior: NotRequired[Behavior]
    time: NotRequired[Time | None]
    weight: NotRequired[Weight]


def _event(event: HistoryEvent) -> Event:
    return Event(event["item"], event.get("behavior"), event.get("time"), event.get("weight", 1.0))


EventOfHistory = Annotated[HistoryEvent, AfterValidator(_event)]


class QueryBody(Body):
    """Who is asked about: a user, a visitor by events, attributes or friends, or a user with news.

    attributes: by column of the users, its values. friends: known users.
    """

    user: Id | None = None
    history: Annotated[list[EventOfHistory], Field(max_length=MAX_HISTORY), Aside()] = Field(
        default=[]
    )
    attributes: dict[ValueText, Values] = Field(default={}, max_length=MAX_COLUMNS)
    friends: Annotated[list[Id], Field(max_length=MAX_K), Aside()] = Field(default=[])

    def query(self) -> Query:
        """The same for lookup."""
        return Query(self.user, self.history, self.attributes, self.friends)


class FilterBody(Filter):
    """What the values of an item in one column must be; all that is given must hold.

    any: one of these at least. all: all of these. none: none of these. gte, gt, lte, lt: one number
    of the item is at least, above, at most, below.
    """

    any: FilterValues | None = None
    all: FilterValues = ()
    none: FilterValues = ()


def _form(asked: object) -> str:
    return "filter" if isinstance(asked, Mapping | Filter) else "values"


AnyFilter = Annotated[
    Annotated[FilterValues, Tag("values")] | Annotated[FilterBody, Tag("filter")],
    Discriminator(_form),
]


Named = Annotated[tuple[Id, ...], Field(max_length=MAX_NAMED), Aside()]


class OptionsBody(ListOptions):
    """The options of a list, with the limits of the service."""

    k: int = Field(10, ge=1, le=MAX_K, description=OPTIONS["k"])
    offset: int = Field(0, ge=0, le=MAX_K, description=OPTIONS["offset"])
    allow: Named | None = Field(None, description=OPTIONS["allow"])
    deny: Named | None = Field(None, description=OPTIONS["deny"])
    exclude_seen: bool | Names = Field(True, description=OPTIONS["exclude_seen"])
    include: Names = Field((), description=OPTIONS["include"])
    filters: dict[ValueText, AnyFilter] = Field(  # type: ignore[assignment]
        {}, max_length=MAX_COLUMNS, description=OPTIONS["filters"]
    )

    def options(self) -> ListOptions:
        """The same for lookup: equal options of several requests are answered together."""
        return ListOptions.model_validate(self._values())

    def _values(self) -> dict[str, Any]:
        """What was read, by option; attributes are read past pydantic, which takes its time."""
        return {name: self.__dict__[name] for name in OPTIONS}


class RecommendQuery(OptionsBody):
    """One list for a user. category: short for filters=category:VALUE."""

    user: Id
    exclude_seen: bool = Field(True, description="Leave out what the user has seen.")
    filters: list[FilterText] = Field(  # type: ignore[assignment]
        [],
        max_length=MAX_VALUES,
        description="COLUMN:VALUE, one of which items must have in every column; "
        "COLUMN.all:VALUE, COLUMN.none:VALUE; COLUMN.gte:NUMBER, .gt, .lte, .lt.",
    )
    filter: list[FilterText] = Field(
        [], max_length=MAX_VALUES, deprecated=True, description="Old name of `filters`."
    )
    category: ValueText | None = None

    def options(self) -> ListOptions:
        """The same for lookup, with filters by column. Raises UsageError for those that cannot be."""
        old_filters = self.__dict__["filter"]  # read past pydantic's warning of deprecation
        pairs = []
        for text in [*self.filters, *old_filters]:
            name, _, value = text.partition(":")
            pairs.append((name, value))
        if self.category is not None:
            pairs.append(("category", self.category))
        return ListOptions.model_validate({**self._values(), "filters": read_filters(pairs)})


class RecommendBody(OptionsBody):
    """Several lists with the same options."""

    requests: Annotated[list[QueryBody], Field(min_length=1, max_length=MAX_REQUESTS), Aside()]


class OtherBody(RecommendBody):
    """The same of another bundle of the run."""

    bundle: str = Field(pattern=BUNDLE)


class ExplainBody(QueryBody):
    """Why an item for a user or a visitor. parts: how many shares are listed, the largest.
    popularity, moment: the boost of the list, and when it is asked for.
    """

    item: Id
    parts: Annotated[int, Field(ge=0, le=MAX_K), NOT_BOOLEAN] = 10
    popularity: Popularity = 0.0
    moment: Moment | None = None

    def why(self) -> Why:
        """The same for the service."""
        return Why(self.query(), self.item, self.parts, self.popularity, self.moment)


class OtherExplainBody(ExplainBody):
    """The same of another bundle of the run."""

    bundle: str = Field(pattern=BUNDLE)

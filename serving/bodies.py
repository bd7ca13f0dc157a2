"""What the service is asked: request bodies, checked before anything is computed."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from recsys.lookup.visits import Event
from serving.questions import Question, Rules

MAX_K, MAX_REQUESTS, MAX_HISTORY, MAX_EVENTS, MAX_NAMED = 1000, 256, 20_000, 1000, 100_000
MAX_COLUMNS = 20
MAX_TIME = 4_102_444_800
"""2100-01-01, as the default of clean.max_time: a later event would be dropped by the next batch
run.
"""

_LONGEST_ID, _BUNDLE = 1024, r"^[0-9a-f]{12}$"

Id = Annotated[str, Field(max_length=_LONGEST_ID, description="Id as in the log.")]
PathId = Annotated[
    str, Path(max_length=_LONGEST_ID, description="Id as in the log; its POST twin takes any text.")
]
_K, _OFFSET = "Length of the list.", "Places of the list that are left out at its start."
_POPULARITY = "Times ln(1 + users of an item), added to its score."
_DIVERSITY = "How much a list avoids items like those before."

K = Annotated[int, Field(ge=1, le=MAX_K, description=_K)]
QueryK = Annotated[int, Query(ge=1, le=MAX_K, description=_K)]
Offset = Annotated[int, Field(ge=0, le=MAX_K, description=_OFFSET)]
Popularity = Annotated[float, Field(ge=-100, le=100, description=_POPULARITY)]
Diversity = Annotated[float, Field(ge=0, le=1, description=_DIVERSITY)]
QueryPopularity = Annotated[
    float, Query(ge=-100, le=100, allow_inf_nan=False, description=_POPULARITY)
]
QueryParts = Annotated[
    int, Query(ge=0, le=MAX_K, description="Reasons that are listed; the others are added up.")
]
FilterText = Annotated[str, Field(pattern=r"^[^:]+:", description="COLUMN:VALUE")]
Text = Annotated[
    str, Query(max_length=200, description="Part of an id or title, whatever the case.")
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


class Wanted(Body):
    """One list: for a user, for a visitor by events, attributes or friends, or for a user with
    news.

    attributes: by column of the users, its values. friends: known users.
    """

    user: Id | None = None
    history: list[HistoryEvent] = Field(default=[], max_length=MAX_HISTORY)
    attributes: dict[str, list[str]] = Field(default={}, max_length=MAX_COLUMNS)
    friends: list[Id] = Field(default=[], max_length=MAX_K)

    def question(self) -> Question:
        values = tuple((column, tuple(several)) for column, several in self.attributes.items())
        return Question(
            self.user, tuple(one.event() for one in self.history), values, tuple(self.friends)
        )


class RecommendQuery(Body):
    """One list for a user. category: short for filter=category:VALUE. filter: COLUMN:VALUE, which
    items must have.
    """

    user: Id
    k: K = 10
    offset: Offset = 0
    exclude_seen: bool = True
    category: str | None = None
    filter: list[FilterText] = Field(default=[], max_length=MAX_COLUMNS)
    popularity: Popularity = 0.0
    diversity: Diversity = 0.0
    explain: bool = False

    def rules(self) -> Rules:
        named = [one.partition(":")[::2] for one in self.filter]
        named += [] if self.category is None else [("category", self.category)]
        filters: dict[str, tuple[str, ...]] = {}
        for column, value in named:
            filters[column] = (*filters.get(column, ()), value)
        return Rules(
            k=self.k,
            offset=self.offset,
            exclude_seen=self.exclude_seen,
            filters=tuple(filters.items()),
            popularity=self.popularity,
            diversity=self.diversity,
            explain=self.explain,
        )


class RecommendBody(Body):
    """Several lists under the same rules. allow, deny: item ids. filters: by column of the items,
    values of which they must have one. explain: say of every item why.
    """

    requests: list[Wanted] = Field(min_length=1, max_length=MAX_REQUESTS)
    k: K = 10
    offset: Offset = 0
    exclude_seen: bool = True
    allow: list[Id] | None = Field(None, max_length=MAX_NAMED)
    deny: list[Id] | None = Field(None, max_length=MAX_NAMED)
    filters: dict[str, list[str]] = Field(default={}, max_length=MAX_COLUMNS)
    popularity: Popularity = 0.0
    diversity: Diversity = 0.0
    explain: bool = False

    def rules(self) -> Rules:
        return Rules(
            k=self.k,
            offset=self.offset,
            exclude_seen=self.exclude_seen,
            allow=None if self.allow is None else tuple(self.allow),
            deny=None if self.deny is None else tuple(self.deny),
            filters=tuple((column, tuple(values)) for column, values in self.filters.items()),
            popularity=self.popularity,
            diversity=self.diversity,
            explain=self.explain,
        )


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


class ExplainBody(Wanted):
    """Why an item for a user or a visitor; the largest `parts` shares, at the dial of the list."""

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

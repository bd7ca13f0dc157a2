"""Bodies that say what people did just now, and what they were shown."""

from typing import Annotated, Any, NamedTuple

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from recsys.lookup.options import NOT_BOOLEAN
from serving.bodies.fields import (
    MAX_EVENTS,
    MAX_K,
    AnswerId,
    Behavior,
    Body,
    EventId,
    Id,
    Time,
    Weight,
)
from serving.bodies.sliced import Aside


class NewEvent(Body):
    """Somebody did something just now, or at `time`. id: of the event; one that was sent before is
    not taken again. answer: of the list that it was done on, such as a click.
    """

    user: Id
    item: Id
    behavior: Behavior = None
    time: Time | None = None
    weight: Weight = 1.0
    id: EventId | None = None
    answer: AnswerId | None = None


class ShownItem(Body):
    """An item of a list, and where it was shown, from 1."""

    item: Id
    place: Annotated[int, Field(ge=1, le=2 * MAX_K), NOT_BOOLEAN]


class Impression(Body):
    """What somebody was shown of a list just now, or at `time`. Items that come to be seen later are
    another impression of the same answer.
    """

    answer: AnswerId
    user: Id
    items: Annotated[list[ShownItem], Field(min_length=1, max_length=MAX_K), Aside()]
    time: Time | None = None

    @model_validator(mode="after")
    def _once(self) -> "Impression":
        """Raises ValueError for an item or a place that is named twice."""
        items = {shown.item for shown in self.items}
        places = {shown.place for shown in self.items}
        if len(items) < len(self.items) or len(places) < len(self.items):
            raise ValueError("an item or a place is named twice")
        return self


class Invalid(NamedTuple):
    """In place of an element that cannot be. detail: the field, and what is wrong with it."""

    detail: str


def _or_invalid(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    """One wrong element fails itself alone."""
    try:
        return read(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(key) for key in first["loc"])
        return Invalid(f"{field}: {first['msg']}" if field else first["msg"])


class EventsBody(Body):
    """Events that the next answers take into account, and the next batch run reads."""

    events: Annotated[
        list[Annotated[NewEvent, WrapValidator(_or_invalid)]],
        Field(min_length=1, max_length=MAX_EVENTS),
        Aside(),
    ]


class ImpressionsBody(Body):
    """What was shown of lists."""

    impressions: Annotated[
        list[Annotated[Impression, WrapValidator(_or_invalid)]],
        Field(min_length=1, max_length=MAX_EVENTS),
        Aside(),
    ]


class SentEvent(Body):
    """All events of a user and an item, under a behaviour where one is named."""

    user: Id
    item: Id
    behavior: Behavior = None


class RetractBody(Body):
    """Events to be taken back, by the ids that they were sent with, or by what they say."""

    ids: Annotated[list[EventId], Field(max_length=MAX_EVENTS), Aside()] = Field(default=[])
    events: Annotated[list[SentEvent], Field(max_length=MAX_EVENTS), Aside()] = Field(default=[])

"""Fields of what the service is asked, with their ranges."""

from typing import Annotated

from fastapi import Path
from fastapi import Query as InQuery
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recsys.bundle.filters import value_text
from recsys.lookup.options import LAST_MOMENT, NOT_BOOLEAN, ListOptions
from serving.bodies.sliced import Aside

MAX_K = 1000
MAX_REQUESTS = 256
MAX_HISTORY = 20_000
MAX_EVENTS = 1000
MAX_NAMED = 100_000
MAX_COLUMNS = 20
MAX_VALUES = 100
"""Of a filter, in each of its lists; of an attribute."""
MAX_TIME = 4_102_444_800
"""2100-01-01, as the default of clean.max_time: a later event would be dropped by the next batch
run.
"""

_LONGEST_ID = 1024
BUNDLE = r"^[0-9a-f]{12}$"
OPTIONS = {name: field.description for name, field in ListOptions.model_fields.items()}


def _id_of_number(value: object) -> object:
    """Ids of a log of integers may be sent as numbers."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value


_IdText = Annotated[
    str, Field(min_length=1, max_length=_LONGEST_ID, description="Id as in the log.")
]
EventId = Annotated[
    str, Field(min_length=1, max_length=128, description="What the sender calls an event.")
]
AnswerId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{12}$", description="Id of a list, as `answer` of it says."),
]
ValueText = Annotated[str, Field(max_length=_LONGEST_ID)]
Behavior = Annotated[str | None, Field(max_length=_LONGEST_ID)]
Names = Annotated[tuple[ValueText, ...], Field(max_length=MAX_COLUMNS), Aside()]
Values = Annotated[tuple[ValueText, ...], Field(max_length=MAX_VALUES), Aside()]
FilterValue = Annotated[
    ValueText,
    BeforeValidator(
        lambda value: value_text(value) if isinstance(value, bool | int | float) else value,
        json_schema_input_type=ValueText | float | bool,
    ),
]
"""A value as /v1/items has it, a number of a year say, or as text."""
FilterValues = Annotated[tuple[FilterValue, ...], Field(max_length=MAX_VALUES), Aside()]
Id = Annotated[_IdText, BeforeValidator(_id_of_number, json_schema_input_type=_IdText | int)]
PathId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=_LONGEST_ID,
        description="Id as in the log; its POST twin takes any text.",
    ),
]
K = Annotated[int, Field(ge=1, le=MAX_K, description=OPTIONS["k"]), NOT_BOOLEAN]
QueryK = Annotated[int, InQuery(ge=1, le=MAX_K, description=OPTIONS["k"])]
Popularity = Annotated[
    float, Field(ge=-100, le=100, description=OPTIONS["popularity"]), NOT_BOOLEAN
]
QueryPopularity = Annotated[
    float, InQuery(ge=-100, le=100, allow_inf_nan=False, description=OPTIONS["popularity"])
]
Moment = Annotated[float, Field(ge=0, le=LAST_MOMENT, description=OPTIONS["moment"]), NOT_BOOLEAN]
QueryMoment = Annotated[
    float,
    InQuery(ge=0, le=LAST_MOMENT, allow_inf_nan=False, description=OPTIONS["moment"]),
]
QueryParts = Annotated[
    int, InQuery(ge=0, le=MAX_K, description="Parts that are listed; the others are added up.")
]
FilterText = Annotated[
    str,
    Field(
        pattern=r"^[^:]+:",
        max_length=2 * _LONGEST_ID,
        description="COLUMN:VALUE, or COLUMN.OPERATOR:VALUE",
    ),
]
Text = Annotated[
    str, InQuery(max_length=200, description="Part of an id or title, whatever the case.")
]
Time = Annotated[
    float, Field(strict=True, ge=0, le=MAX_TIME, description="Unix seconds; now when absent.")
]
Weight = Annotated[
    float, Field(strict=True, gt=0, le=1e6, description="How much the event counts.")
]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

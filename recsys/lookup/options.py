"""What may be asked of a list: the same options in Python, over HTTP and on the command line."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from recsys.bundle.filters import Filter, filter_of
from recsys.core.errors import UsageError, nearest
from recsys.core.ids import id_text

OLD_NAMES = {"reasons": "explain"}
"""Options that were renamed; the old names go with 0.3."""

LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, in unix seconds."""


def id_texts(values: object) -> object:
    """Ids of any kind as text; what is no list of ids is left for the check of types to refuse."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return values
    texts = []
    for value in values:
        text = id_text(value)
        if text is None:
            raise ValueError("one of the ids is missing")
        texts.append(text)
    return texts


def not_boolean(value: object) -> object:
    """Python takes True for 1; whoever gives it as a number means something else."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not true or false")
    return value


def filters_by_column(filters: object) -> object:
    """A `Filter` for every column, whatever its form; what is no mapping is left to be refused."""
    if filters is None:
        return {}
    if not isinstance(filters, Mapping):
        return filters
    by_column = {}
    for column, condition in filters.items():
        try:
            by_column[column] = filter_of(condition)
        except ValueError as error:
            raise ValueError(f"filter of {column!r}: {error}") from None
    return by_column


NOT_BOOLEAN = BeforeValidator(not_boolean)
"""Stands behind the limits of a number, so that the schema has them."""
ItemIds = Annotated[tuple[str, ...], BeforeValidator(id_texts)]
ColumnNames = Annotated[tuple[str, ...], Field(max_length=50)]
FiltersByColumn = Annotated[dict[str, Filter], BeforeValidator(filters_by_column)]


class ListOptions(BaseModel):
    """What is asked of a list.

    To add an option, add a field here and a keyword to `ListKeywords`, and apply it in `lookup`:
    HTTP, the command line and the client take it from here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    k: int = Field(10, ge=1, description="Length of the list.")
    offset: int = Field(0, ge=0, description="Places of the list that are left out at its start.")
    exclude_seen: bool | tuple[str, ...] = Field(
        True,
        description="Leave out what a user has seen under the bundle's seen behaviours, or under "
        "those named.",
    )
    allow: ItemIds | None = Field(None, description="Only these items.")
    deny: ItemIds | None = Field(None, description="Never these items.")
    filters: FiltersByColumn = Field(
        {},
        description="By column of the items, values of which an item must have one, or an object "
        "with any, all, none, gte, gt, lte, lt.",
    )
    popularity: float = Field(
        0.0,
        ge=-100,
        le=100,
        description="Popularity boost, from -1 (niche) to 1 (well known): what popular items gain, "
        "as a share of what the best of the list have over an average item. Beyond 1 popularity "
        "decides more and more alone.",
    )
    diversity: float = Field(
        0.0, ge=0, le=1, description="How much a list avoids items like those before, from 0 to 1."
    )
    explain: bool = Field(False, description="Say of every item why it is there.")
    include: ColumnNames = Field(
        (), description="Columns of the item table that each item comes with, in `fields`."
    )
    moment: float | None = Field(
        None,
        ge=0,
        le=LAST_MOMENT,
        description="When the list is asked for, in unix seconds; only a second stage reads it. The "
        "service takes its clock where it is absent, everything else the end of the log.",
    )

    numbers = field_validator("k", "offset", "popularity", "diversity", "moment", mode="before")(
        not_boolean
    )

    def __hash__(self) -> int:
        # Of lists that may be long only equality tells: a batch asks for the hash of every request.
        return hash((self.k, self.offset, self.popularity, self.diversity, self.explain))

    @property
    def end(self) -> int:
        """The place after the last that is asked for."""
        return self.offset + self.k


class ListKeywords(TypedDict, total=False):
    """The options but k, as keywords of a call in Python: ids of any kind, in any collection."""

    offset: int
    exclude_seen: bool | Sequence[str]
    allow: Iterable[object] | None
    deny: Iterable[object] | None
    filters: Mapping[str, object] | None
    popularity: float
    diversity: float
    explain: bool
    include: Sequence[str]
    moment: float | None


def list_options(**values: Any) -> ListOptions:
    """The options with these values, numbers of numpy among them.

    Raises UsageError for an unknown name or a value that cannot be, naming it.
    """
    plain = {}
    for name, value in values.items():
        if name in OLD_NAMES:
            message = f"the option {name!r} is called {OLD_NAMES[name]!r} now"
            warnings.warn(message, FutureWarning, stacklevel=3)
            name = OLD_NAMES[name]
        plain[name] = _plain_number(value)
    try:
        return ListOptions(**plain)
    except ValidationError as error:
        raise _usage_error(error) from None


def _plain_number(value: object) -> object:
    """A number of numpy as one of Python."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return value


def _usage_error(error: ValidationError) -> UsageError:
    first = error.errors()[0]
    name = str(first["loc"][0])
    known = list(ListOptions.model_fields)
    if name not in known:
        hint = nearest(name, known) or f"Lists have the options {', '.join(known)}"
        return UsageError(f"unknown option {name!r}", hint)
    problem = first["msg"][0].lower() + first["msg"][1:]
    field = ListOptions.model_fields[name]
    return UsageError(f"{name} = {first['input']!r}: {problem}", field.description or "")

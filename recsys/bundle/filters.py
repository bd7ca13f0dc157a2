"""What a filter asks of one column of the items.

The names are those of search services: any, all and none as Weaviate's Contains operators, gte, gt, lte
and lt as Elasticsearch's and Qdrant's ranges.
"""

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from recsys.core.errors import UsageError


def value_text(value: object) -> str:
    """A value as the inverted lists have it: as the text of its cell."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and float(value).is_integer():
        return str(int(float(value)))
    return str(value).strip()


def value_texts(values: object) -> tuple[str, ...]:
    """One value or several, each once: how often one is named says nothing."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        values = (values,)
    texts = [value_text(value) for value in values]
    return tuple(dict.fromkeys(texts))


Values = Annotated[tuple[str, ...], BeforeValidator(value_texts)]
Bound = Annotated[float | None, Field(allow_inf_nan=False)]


class Filter(BaseModel):
    """What the values of an item in one column must be; all that is given must hold.

    any: one of these at least. all: all of these. none: none of these.
    gte, gt, lte, lt: one number of the item lies within these bounds: at least, above, at most,
    below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    any: Values | None = None
    all: Values = ()
    none: Values = ()
    gte: Bound = None
    gt: Bound = None
    lte: Bound = None
    lt: Bound = None

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        for low in ("gte", "gt"):
            for high in ("lte", "lt"):
                least = getattr(self, low)
                most = getattr(self, high)
                if least is not None and most is not None and least > most:
                    raise ValueError(f"{low} {least:g} is above {high} {most:g}")
        return self

    @property
    def has_range(self) -> bool:
        return any(bound is not None for bound in (self.gte, self.gt, self.lte, self.lt))

    @property
    def values(self) -> tuple[str, ...]:
        """All that are named."""
        return (*(self.any or ()), *self.all, *self.none)


OPERATORS = tuple(Filter.model_fields)
_LISTS = ("any", "all", "none")
EXAMPLES = "Write for example ['Drama'], {'none': ['Horror']} or {'gte': 1990, 'lte': 1999}"


def filter_of(asked: object) -> Filter:
    """From a value, several of which an item must have one, or a mapping with the names of `Filter`.

    Raises ValueError for what is none of these.
    """
    if isinstance(asked, Filter):
        # Of a body it is of a class with further limits, and equal ones are to be equal.
        return Filter.model_construct(**asked.__dict__)
    if not isinstance(asked, Mapping):
        return Filter.model_validate({"any": asked})
    try:
        return Filter.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            known = ", ".join(OPERATORS)
            raise ValueError(f"{first['loc'][0]!r} is none of {known}. {EXAMPLES}") from None
        path = "".join(f"{key}: " for key in first["loc"])
        raise ValueError(path + first["msg"].removeprefix("Value error, ")) from None


def read_filters(pairs: Iterable[tuple[str, str]]) -> dict[str, Filter]:
    """Filters by column from pairs of text, as queries and flags have them: ("genres", "Drama"),
    ("genres.none", "Horror"), ("year.gte", "1990").

    A column whose own name ends so is asked for by its name and an operator: ("x.all.any", "y").
    Raises UsageError for two bounds of the same kind, and for what is no number.
    """
    conditions: dict[str, dict[str, Any]] = {}
    for name, value in pairs:
        column, _, operator = name.rpartition(".")
        # A column may have a dot in its name: only what is an operator is cut off.
        if not column or operator not in OPERATORS:
            column, operator = name, "any"
        of_column = conditions.setdefault(column, {})
        if operator in _LISTS:
            of_column.setdefault(operator, []).append(value)
        elif operator in of_column:
            raise UsageError(
                f"{column}.{operator} is given twice",
                "Give one bound of each kind",
                code="invalid_filter",
            )
        else:
            of_column[operator] = value
    filters = {}
    for column, of_column in conditions.items():
        try:
            filters[column] = filter_of(of_column)
        except ValueError as error:
            raise UsageError(
                f"filter of {column!r}: {error}", EXAMPLES, code="invalid_filter"
            ) from None
    return filters

"""Large bodies read piece by piece, so that other threads go on: pydantic reads each in one call of C,
in which nothing else runs.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    FailFast,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

from serving.bodies.pieces import LARGEST_BYTES, NotJson, Pieces, TooLarge, cut

Model = TypeVar("Model", bound=BaseModel)

_ANY = TypeAdapter(Any)
_ANY_LIST = TypeAdapter(list[Any])


def read_sliced(model: type[Model], text: bytes, between: Callable[[], None]) -> Model:
    """The same as `model.model_validate_json(text)`, but that of the wrong elements of a list only the
    first is told.

    Args:
        model: All its lists are marked by `Aside`.
        text: JSON.
        between: Called between two pieces; what it raises ends the reading.

    Returns:
        The model.

    Raises:
        ValidationError: As the model does, and for a text of which something that is no list is over
            LARGEST_BYTES.
    """
    try:
        pieces = cut(text, between)
        try:
            return model.model_validate_json(pieces.rest, context=pieces)
        except ValidationError:
            _require_json(pieces)  # of a text that is none, nothing else is told
            raise
    except NotJson:
        return model.model_validate_json(text)  # says where
    except TooLarge:
        message = "Something in it that is no list is over {most} bytes"
        too_large = PydanticCustomError("too_large", message, {"most": LARGEST_BYTES})
        details = InitErrorDetails(type=too_large, loc=(), input=None)
        raise ValidationError.from_exception_data(model.__name__, [details]) from None


class Aside:
    """Marks a list, or a tuple of any length, that is read run by run where it was cut out. It stands
    behind the limits of its length.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        element, *_ = get_args(source)
        runs = _Runs(element, schema["type"] == "tuple", schema.get("max_length"))
        return core_schema.with_info_wrap_validator_function(runs.read, schema)


class _Runs:
    """Reads a list where it stands, or by its runs.

    element: its type. is_tuple: whether it becomes one. most: how many elements it may have.
    """

    def __init__(self, element: Any, is_tuple: bool, most: int | None) -> None:
        self._element = element
        self._is_tuple = is_tuple
        self._most = most

    def read(self, value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        pieces: Pieces | None = info.context
        runs = None if pieces is None else pieces.runs_of(value)
        if pieces is None or runs is None:
            return read(value)
        elements = self._elements(pieces, runs)
        return tuple(elements) if self._is_tuple else elements

    def _elements(self, pieces: Pieces, runs: list[bytes]) -> list[Any]:
        elements: list[Any] = []
        count = 0
        for index, run in enumerate(runs):
            pieces.between()
            try:
                further = self._run.validate_json(b"[%b]" % run, context=pieces)
            except ValidationError as error:
                # pydantic counts the elements of a list before it reads them, and those of a tuple after.
                if not self._is_tuple:
                    self._require_few(count, pieces, runs[index:])
                raise _behind(count, error) from None
            if not further:
                raise NotJson
            count += len(further)
            if self._most is None or count <= self._most:
                elements += further
            elif not self._is_tuple:
                self._require_few(count, pieces, runs[index + 1 :])
        self._require_few(count, pieces, [])
        return elements

    @cached_property
    def _run(self) -> TypeAdapter:
        """Of a run of elements, whatever their number."""
        return TypeAdapter(Annotated[list[self._element], FailFast()])  # type: ignore[arg-type]

    def _require_few(self, count: int, pieces: Pieces, runs: list[bytes]) -> None:
        """Raises PydanticKnownError for too many elements: so many, and those of the runs."""
        for run in runs:
            pieces.between()
            count += _count(run)
        if self._most is not None and count > self._most:
            kind = "Tuple" if self._is_tuple else "List"
            facts = {"field_type": kind, "max_length": self._most, "actual_length": count}
            raise PydanticKnownError("too_long", facts)


def _behind(count: int, error: ValidationError) -> Exception:
    """An error of a run, `count` elements behind the first of its list."""
    details = []
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "json_invalid":
            return NotJson()
        index, *inner = detail["loc"]
        known = InitErrorDetails(type=detail["type"], loc=(int(index) + count, *inner), input=None)
        if "ctx" in detail:
            known["ctx"] = detail["ctx"]
        details.append(known)
    return ValidationError.from_exception_data(error.title, details)


def _require_json(pieces: Pieces) -> None:
    """Raises NotJson."""
    try:
        _ANY.validate_json(pieces.rest)
    except ValidationError:
        raise NotJson from None
    for runs in pieces.lists:
        for run in runs:
            pieces.between()
            _count(run)


def _count(run: bytes) -> int:
    """Of elements. Raises NotJson, also where there are none: two commas stood side by side."""
    try:
        elements = _ANY_LIST.validate_json(b"[%b]" % run)
    except ValidationError:
        raise NotJson from None
    if not elements:
        raise NotJson
    return len(elements)

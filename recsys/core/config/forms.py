"""What a configuration key takes: found by its place, told in words, read from the text of `--set`."""

import json
import tomllib
from collections.abc import Sequence
from datetime import date, time
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from recsys.core.config.run import RunConfig
from recsys.core.toml import toml_value

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_PLURALS = {str: "texts", int: "whole numbers", float: "numbers"}
_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_UNREADABLE = object()


def type_at(location: Sequence[str | int]) -> tuple[str, Any]:
    """Dotted key and type of the innermost entry of the configuration that a location leads to."""
    names: list[str] = []
    annotation: Any = RunConfig
    for name in location:
        inner = _type_inside(annotation, name)
        if inner is None:
            break
        names.append(str(name))
        annotation = inner
    return ".".join(names), annotation


def type_of_key(key: str) -> Any:
    """The type of a dotted key; None for one that there is not."""
    innermost, annotation = type_at(key.split("."))
    return annotation if innermost == key else None


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is, or is a list or table of."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def in_words(annotation: Any) -> str:
    """What a type takes: 'a number above 0', '"auto", "s" or "ms"', 'text or none'."""
    words: list[str] = []
    for option, metadata in _options(annotation):
        notes = [note for note in metadata if isinstance(note, str)]
        word = notes[0] if notes else _word(option) + _limits(metadata)
        if word not in words:
            words.append(word)
    return " or ".join(words)


def read_value(text: str, annotation: Any) -> Any:
    """The value that the text of `--set KEY=TEXT` stands for, where KEY takes `annotation`.

    TOML is read as such. Beyond it: text without quotes; true, false and none in any case; lists
    without brackets or quotes; JSON. Text stays as written where the key takes text: dates, say.
    """
    value = _read_toml(text)
    if annotation is None:
        return text if value is _UNREADABLE else value
    types = [_kind(option) for option, _ in _options(annotation)]
    word = text.lower()
    if word in ("none", "null") and "none" in _choices(annotation):
        return "none"
    if word in ("none", "null") and NoneType in types:
        return None
    if word in ("true", "false") and bool in types:
        return word == "true"
    if list in types:
        return _read_list(text, value, annotation, str in types)
    if str in types and not _is_of(value, types):
        return text
    if value is _UNREADABLE and text.startswith(("{", "[")):
        return _read_json(text)
    return text if value is _UNREADABLE else value


def _type_inside(annotation: Any, part: str | int) -> Any:
    """The type of a field of a section, of an element of a list, of a value of a table."""
    for option, _ in _options(annotation):
        arguments = get_args(option)
        if _kind(option) is list and isinstance(part, int):
            return arguments[min(part, len(arguments) - 1)]
        if _kind(option) is dict and arguments:
            return arguments[1]
        if isinstance(option, type) and issubclass(option, BaseModel):
            field = option.model_fields.get(str(part))
            if field is None:
                return None
            return (
                Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            )
    return None


def _options(annotation: Any, metadata: tuple[Any, ...] = ()) -> list[tuple[Any, tuple[Any, ...]]]:
    """The alternatives of a type, each with its limits."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _options(inner, (*metadata, *more))
    if origin not in (Union, UnionType):
        return [(annotation, metadata)]
    options = []
    for alternative in get_args(annotation):
        options += _options(alternative, () if alternative is NoneType else metadata)
    return options


def _kind(option: Any) -> Any:
    """The plain type of an alternative: str for choices, list for tuples, dict for sections."""
    origin = get_origin(option)
    if origin is Literal:
        return str
    if origin in (list, tuple):
        return list
    if origin is dict or (isinstance(option, type) and issubclass(option, BaseModel)):
        return dict
    return option


def _choices(annotation: Any) -> list[Any]:
    choices: list[Any] = []
    for option, _ in _options(annotation):
        if get_origin(option) is Literal:
            choices += get_args(option)
    return choices


def _word(option: Any) -> str:
    origin = get_origin(option)
    arguments = get_args(option)
    if origin is Literal:
        return _either([toml_value(choice) for choice in arguments])
    if origin is tuple:
        return f"a list of {len(arguments)} {_plural(arguments[0])}"
    if origin is list:
        return f"a list of {_plural(arguments[0])}"
    if origin is dict:
        return f"a table of {_plural(arguments[1])} by name"
    if option is NoneType:
        return "none"
    if _kind(option) is dict:
        return "a table"
    return _NAMES.get(option, "a value")


def _either(words: list[str]) -> str:
    """'a, b or c'."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _plural(element: Any) -> str:
    option, metadata = _options(element)[0]
    if _kind(option) is dict:
        return "tables"
    return _PLURALS.get(option, "values") + _limits(metadata)


def _limits(metadata: tuple[Any, ...]) -> str:
    """' above 0 and at most 1'."""
    limits = []
    for note in metadata:
        for name, word in _LIMITS.items():
            bound = getattr(note, name, None)
            if bound is not None:
                limits.append(f"{word} {bound}")
        if getattr(note, "min_length", None):
            limits.append("that is not empty")
    return f" {' and '.join(limits)}" if limits else ""


def _read_toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return _UNREADABLE


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _is_of(value: Any, types: list[Any]) -> bool:
    """Whether a value read as TOML is of one of these types; whole numbers are numbers."""
    if value is _UNREADABLE:
        return False
    if isinstance(value, bool | date | time):
        return type(value) in types
    if isinstance(value, int) and float in types:
        return True
    return any(isinstance(value, kind) for kind in types)


def _read_list(text: str, value: Any, annotation: Any, or_text: bool) -> Any:
    """A list from [1, 2], from [a, b] without quotes, or from a,b without brackets.

    or_text: the key takes text as well, which may hold a comma.
    """
    if isinstance(value, str) and or_text:
        return value
    element = _type_inside(annotation, 0)
    if isinstance(value, list):
        plain = [item for item in value if isinstance(item, str | dict | list)]
        if len(plain) == len(value):
            return value
        return [read_value(toml_value(item), element) for item in value]
    bracketed = text.startswith("[") and text.endswith("]")
    if or_text and not bracketed:
        return text
    if value is _UNREADABLE and "{" in text:
        return _read_json(text)
    texts = [element_text.strip() for element_text in text.strip("[]").split(",")]
    return [read_value(element_text, element) for element_text in texts if element_text]

"""TOML text from plain values; the standard library only reads it."""

import json
from collections.abc import Mapping
from datetime import date, time
from typing import Any

import tomli_w


def to_toml(document: Mapping[str, Any]) -> str:
    """A document of text, numbers, truth values, lists and tables; keys that are None are left out."""
    return tomli_w.dumps(_without_none(document))


def toml_value(value: Any) -> str:
    """One value in a line, as TOML spells it: true, "text", [1, 2], {low = 1, high = 2}."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Mapping):
        entries = [f"{key} = {toml_value(inner)}" for key, inner in value.items()]
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        elements = [toml_value(element) for element in value]
        return f"[{', '.join(elements)}]"
    return str(value)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_without_none(inner) for inner in value]
    return value

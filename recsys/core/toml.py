"""TOML text from plain values; the standard library only reads it."""

from collections.abc import Mapping
from typing import Any

import tomli_w


def to_toml(document: Mapping[str, Any]) -> str:
    """A document of text, numbers, truth values, lists and tables; keys that are None are left out."""
    return tomli_w.dumps(_without_none(document))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_without_none(inner) for inner in value]
    return value

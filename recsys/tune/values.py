"""How values of a search read in a line."""

from collections.abc import Mapping
from typing import Any


def described(values: Mapping[str, Any]) -> str:
    """Values by the last part of their keys."""
    words = []
    for key, value in values.items():
        name = key.rpartition(".")[2]
        words.append(f"{name} {shown(value)}")
    return ", ".join(words)


def shown(value: Any) -> str:
    """Three significant figures, and "none" for a key left out."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)

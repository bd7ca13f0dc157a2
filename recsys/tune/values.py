"""How values of a search read in a line."""

from collections.abc import Mapping
from typing import Any


def described(values: Mapping[str, Any]) -> str:
    """Values by the last part of their keys."""
    return ", ".join(f"{key.rpartition('.')[2]} {shown(value)}" for key, value in values.items())


def shown(value: Any) -> str:
    """Three significant figures, and "none" for a key left out."""
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

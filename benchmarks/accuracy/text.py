"""Markdown: tables, sections and figures."""

from collections.abc import Sequence


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers stay left, as they come."""
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


def section(title: str, text: str) -> str:
    """A heading with its text; nothing without text."""
    return f"## {title}\n\n{text}" if text else ""


def figure(value: float, spread: float | None = None) -> str:
    """Four digits without the leading zero, as papers print them: ".1830", ".1830 ± .0004"."""
    shown = _short(value)
    return shown if spread is None else f"{shown} ± {_short(spread)}"


def signed(value: float) -> str:
    """ "+.0012", "−.0012"."""
    return ("−" if value < 0 else "+") + _short(abs(value))


def _short(value: float) -> str:
    text = f"{value:.4f}"
    return text[1:] if text.startswith("0") else text

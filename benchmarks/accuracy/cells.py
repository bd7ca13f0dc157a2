"""Cells of the tables of benchmarks/notes/accuracy.md."""

from collections.abc import Sequence
from typing import Any

from benchmarks.accuracy.results import Summary
from benchmarks.accuracy.text import figure, signed


def pair(values: Sequence[float]) -> str:
    """Recall and NDCG, as published."""
    return " / ".join(figure(value) for value in values)


def measured(one: Summary) -> str:
    """Recall@20 and NDCG@20 of a row."""
    return f"{cell(one, 'recall@20')} / {cell(one, 'ndcg@20')}"


def cell(one: Summary | None, name: str) -> str:
    """The mean of a metric with its spread; empty where it was not measured."""
    if one is None or name not in one.mean:
        return ""
    return figure(one.mean[name], one.spread[name])


def cost(one: Summary, name: str, digits: int = 0) -> str:
    """What the first seed took, which made the choices; empty where it was not measured."""
    return f"{one.first[name]:.{digits}f}" if name in one.first else ""


def change(lever: Summary, base: Summary, name: str) -> str:
    """A lever's mean, and in brackets its distance from the base."""
    if name not in lever.mean:
        return ""
    return f"{cell(lever, name)} ({signed(lever.mean[name] - base.mean[name])})"


def seeds(one: Summary) -> str:
    """How many seeds there are."""
    return f"{len(one.seeds)} seed{'s' if len(one.seeds) > 1 else ''}"


def difference(entry: dict[str, Any] | None) -> str:
    """The interval of a comparison; empty without one."""
    return "" if entry is None else f"{signed(entry['low'])} to {signed(entry['high'])}"


def verdict(entry: dict[str, Any]) -> str:
    """What the interval of a comparison says of the first row."""
    if entry["low"] > 0:
        return "better"
    return "worse" if entry["high"] < 0 else "within noise"

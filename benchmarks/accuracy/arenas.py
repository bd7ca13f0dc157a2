"""The arenas of the accuracy page: logs with a goal, published figures or peers, and ours beside them."""

from typing import Any

from benchmarks.accuracy.cells import cell, difference, pair, seeds
from benchmarks.accuracy.results import Summaries, Summary
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.text import figure, table

ARENA = "arena"
TRAIN_ONLY = "arena-train-only"

Comparisons = list[dict[str, Any]]

_TITLES = {
    "recall@20": "Recall@20",
    "ndcg@20": "NDCG@20",
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "authors_ndcg@20": "NDCG@20 by its authors",
}
_COUNTED_ALIKE = {"authors_ndcg@20": "ndcg@20"}
"""Metrics of which no value by user is kept, and ours that intervals are taken of instead."""
_TEXT = """Every choice is made on validation and the test is scored once. Ours are trained on train + validation, as
served; trained on train alone they stand beside published figures that were, those of the random splits and of Ali-Display.
The interval is of `arena` minus the best baseline in the last metric named, paired by user; for Ali-Display in our own
counting. Goals of the last seven are what the default had when it was first measured."""


def arenas(
    summaries: Summaries,
    comparisons: Comparisons,
    known: dict[str, Any],
    named: dict[str, Row],
) -> str:
    """The table of all arenas of which anything of ours was measured; nothing without one."""
    lines = []
    for arena in known.get("arena", []):
        line = _line(arena, summaries, comparisons, named)
        if line is not None:
            lines.append(line)
    if not lines:
        return ""
    head = [
        "arena",
        "metrics",
        "best published or peer",
        "trained on train alone",
        "trained on train + validation",
        "best baseline",
        "difference, 95 % interval",
        "goal",
    ]
    return f"{_TEXT}\n\n{table(head, lines)}"


def best_published(arena: dict[str, Any]) -> dict[str, Any] | None:
    """The published method with the highest value of the metric that decides, the last one."""
    best = None
    for method in arena.get("method", []):
        if best is None or method["values"][-1] > best["values"][-1]:
            best = method
    return best


def best_baseline(
    arena: dict[str, Any], comparisons: Comparisons, named: dict[str, Row]
) -> dict[str, Any] | None:
    """The comparison of our row with the baseline that is highest in the metric that decides."""
    deciding = arena["metrics"][-1]
    metric = _COUNTED_ALIKE.get(deciding, deciding)
    best = None
    for entry in comparisons:
        other = named.get(entry["other"])
        if entry["row"] != ARENA or entry["dataset"] != arena["dataset"]:
            continue
        if entry["metric"] != metric or other is None or other.baseline is None:
            continue
        if best is None or entry["other_value"] > best["other_value"]:
            best = entry
    return best


def _line(
    arena: dict[str, Any],
    summaries: Summaries,
    comparisons: Comparisons,
    named: dict[str, Row],
) -> list[str] | None:
    """The cells of one arena; None where nothing of ours was measured."""
    metrics = arena["metrics"]
    refitted = summaries.get((arena["dataset"], ARENA, "validation"))
    train_only = summaries.get((arena["dataset"], TRAIN_ONLY, "validation"))
    if refitted is None and train_only is None:
        return None

    method = best_published(arena)
    published = ""
    if method is not None:
        published = f"{pair(method['values'])} ({method['name']})"

    baseline = best_baseline(arena, comparisons, named)
    beside = ""
    if baseline is not None:
        title = named[baseline["other"]].title
        beside = f"{title}, {figure(baseline['other_value'])}"
    return [
        arena["title"],
        " / ".join(_TITLES[metric] for metric in metrics),
        published,
        _measured(train_only, metrics),
        _measured(refitted, metrics),
        beside,
        difference(baseline),
        pair(arena["goal"]),
    ]


def _measured(one: Summary | None, metrics: list[str]) -> str:
    """The metrics of a row, and over how many seeds; empty where it was not run."""
    if one is None:
        return ""
    values = " / ".join(cell(one, metric) for metric in metrics)
    return f"{values} ({seeds(one)})"

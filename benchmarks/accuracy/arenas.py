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
_TEXT = """`python -m benchmarks accuracy all --data FOLDER --dataset DATASET` runs every row of an arena with all its seeds,
baselines included; `accuracy run arena DATASET` is one of them. Every choice is made on validation and the test is scored
once. Ours are trained on train + validation, as served; trained on train alone they stand beside published figures that
were, those of the random splits and of Ali-Display. The interval is of `arena` minus the best baseline or peer in the
last metric named, paired by user; for Ali-Display in our own counting. Goals of the last seven are what the default had
when it was first measured."""


def arenas(
    summaries: Summaries,
    comparisons: Comparisons,
    known: dict[str, Any],
    named: dict[str, Row],
) -> str:
    """The table of all arenas, whether ours was measured there or not."""
    known_arenas = known.get("arena", [])
    if not known_arenas:
        return ""
    lines = [_line(arena, summaries, comparisons, named) for arena in known_arenas]
    head = [
        "arena",
        "metrics",
        "best published or peer",
        "trained on train alone",
        "trained on train + validation",
        "best baseline or peer run here",
        "difference, 95 % interval",
        "goal",
    ]
    return f"{_TEXT}\n\n{table(head, lines)}"


def best_published(arena: dict[str, Any]) -> str:
    """The best published value of each metric with its method; empty without any."""
    methods = arena.get("method", [])
    if not methods:
        return ""
    values: list[float] = []
    names: list[str] = []
    for position in range(len(arena["metrics"])):
        best = methods[0]
        for method in methods:
            if method["values"][position] > best["values"][position]:
                best = method
        values.append(best["values"][position])
        names.append(best["name"])
    if len(set(names)) == 1:
        return f"{pair(values)} ({names[0]})"
    return f"{pair(values)} ({'; '.join(names)})"


def best_baseline(
    arena: dict[str, Any], comparisons: Comparisons, named: dict[str, Row]
) -> dict[str, Any] | None:
    """The comparison of our row with the baseline, or the peer run here, that is highest in the
    metric that decides.
    """
    deciding = arena["metrics"][-1]
    metric = _COUNTED_ALIKE.get(deciding, deciding)
    best = None
    for entry in comparisons:
        row = named.get(entry["other"])
        if entry["row"] != ARENA or entry["dataset"] != arena["dataset"]:
            continue
        if entry["metric"] != metric or row is None or not (row.baseline or row.script):
            continue
        if best is None or entry["other_value"] > best["other_value"]:
            best = entry
    return best


def _line(
    arena: dict[str, Any],
    summaries: Summaries,
    comparisons: Comparisons,
    named: dict[str, Row],
) -> list[str]:
    """The cells of one arena."""
    metrics = arena["metrics"]
    ours: list[str] = []
    for row in (TRAIN_ONLY, ARENA):
        summary = summaries.get((arena["dataset"], row, "validation"))
        wanted = row in named and arena["dataset"] in named[row].datasets
        ours.append(_measured(summary, metrics, wanted))

    baseline = best_baseline(arena, comparisons, named)
    beside = ""
    if baseline is not None:
        title = named[baseline["other"]].title
        beside = f"{title}, {figure(baseline['other_value'])}"
    return [
        arena["title"],
        " / ".join(_TITLES[metric] for metric in metrics),
        best_published(arena),
        *ours,
        beside,
        difference(baseline),
        pair(arena["goal"]),
    ]


def _measured(one: Summary | None, metrics: list[str], wanted: bool) -> str:
    """The metrics of a row, and over how many seeds. wanted: the row names the arena."""
    if one is None:
        return "not measured" if wanted else ""
    values = " / ".join(cell(one, metric) for metric in metrics)
    return f"{values} ({seeds(one)})"

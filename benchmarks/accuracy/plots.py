"""The plots of the accuracy pages as SVG text; the same figures give the same bytes."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.accuracy.results import Summary
from recsys.core.arrays import Float64Array

Facts = dict[str, Any]

_GREY, _BLUE, _RED = "#8a93a0", "#2f7ed8", "#c0504d"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_AGES = (
    (1, "0"),
    (60, "1 min"),
    (3_600, "1 h"),
    (86_400, "1 d"),
    (2_592_000, "30 d"),
    (31_536_000, "1 y"),
)


def ablation(rows: Sequence[tuple[str, str, Summary, Summary]]) -> str:
    """Change of validation NDCG by lever, one panel a dataset; whiskers: standard deviation over
    seeds.
    """
    datasets = sorted({dataset for dataset, *_ in rows})
    if not datasets:
        return ""
    height = max(sum(1 for row in rows if row[0] == dataset) for dataset in datasets)
    with _axes(len(datasets), 0.9 + 0.26 * height) as (figure, panels):
        for axes, dataset in zip(panels, datasets, strict=True):
            _changes(axes, dataset, [row[1:] for row in rows if row[0] == dataset])
        return _svg(figure)


def ladder(points: dict[str, list[tuple[str, float, bool]]]) -> str:
    """Recall@20 of published methods and of our rows, one panel a dataset."""
    height = max(len(one) for one in points.values())
    with _axes(len(points), 0.9 + 0.2 * height) as (figure, panels):
        for axes, (title, one) in zip(panels, points.items(), strict=True):
            shown = sorted(one, key=lambda point: (point[1], point[0]))
            colors = [_BLUE if ours else _GREY for *_, ours in shown]
            axes.scatter([value for _, value, _ in shown], range(len(shown)), c=colors, s=18)
            axes.set_yticks(range(len(shown)), [name for name, *_ in shown])
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("Recall@20 (blue: ours)")
            axes.grid(axis="y", linewidth=0.3)
        return _svg(figure)


def attended(relations: Sequence[Facts]) -> str:
    """What heads look at, three panels a relation: by position and by age where there is an order,
    and the entropy of attention over that of its prior.
    """
    panels: list[tuple[Callable[[Axes, Facts], None], Facts]] = []
    for facts in relations:
        if facts["position"]:
            panels.append((_by_position, facts))
        if facts["age"]:
            panels.append((_by_age, facts))
        if facts["entropy"]:
            panels.append((_entropy, facts))
    if not panels:
        return ""
    with _axes(len(panels), 2.8) as (figure, all_axes):
        for axes, (draw, facts) in zip(all_axes, panels, strict=True):
            draw(axes, facts)
            axes.set_title(f"layer {facts['layer']}, {facts['relation']}", fontsize=10)
        return _svg(figure)


def slices(by_twin: Mapping[str, Sequence[Facts]]) -> str:
    """Attention minus each of its twins on every slice, with 95 % intervals; by title of the twin."""
    height = max(len(rows) for rows in by_twin.values())
    with _axes(len(by_twin), 0.9 + 0.26 * height, share=True) as (figure, all_axes):
        for axes, (title, rows) in zip(all_axes, by_twin.items(), strict=True):
            shown = list(reversed(rows))
            labels = [f"{row['group']}: {row['label']}" for row in shown]
            values = _values(shown, "difference")
            reach = [values - _values(shown, "low"), _values(shown, "high") - values]
            axes.errorbar(values, labels, xerr=reach, fmt="o", color=_BLUE, capsize=3, markersize=4)
            axes.axvline(0, color=_GREY, linewidth=0.8)
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("NDCG@10 above it")
        return _svg(figure)


def _by_position(axes: Axes, facts: Facts) -> None:
    _by_place(axes, facts["position"], [row["at"] for row in facts["position"]])
    axes.set_xlabel("later events")


def _by_age(axes: Axes, facts: Facts) -> None:
    # Bucket g holds gaps from 2^g − 1 seconds on; 0 seconds have their place at 1.
    seconds = [2 ** row["at"] for row in facts["age"]]
    _by_place(axes, facts["age"], seconds)
    axes.set_xscale("log")
    axes.set_xticks([number for number, _ in _AGES], [label for _, label in _AGES])
    axes.minorticks_off()
    axes.set_xlabel("before the latest event")


def _by_place(axes: Axes, rows: Sequence[Facts], position: Sequence[int]) -> None:
    """A thin line a head, and the learnt factor that they share."""
    # One line a column of (places, heads).
    axes.plot(position, _values(rows, "attention"), color=_GREY, linewidth=0.8)
    axes.plot(position, _values(rows, "learnt"), color=_BLUE, marker="o", markersize=2.5)
    axes.axhline(1, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_ylabel("1: as in a plain mean")


def _entropy(axes: Axes, facts: Facts) -> None:
    rows = facts["entropy"]
    neighbours = _values(rows, "degree")
    low, high = _values(rows, "low"), _values(rows, "high")
    axes.fill_between(neighbours, low, high, color=_GREY, alpha=0.35, linewidth=0)
    axes.plot(neighbours, _values(rows, "median"), color=_BLUE, marker="o", markersize=3)
    axes.axhline(1, color=_GREY, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("events of the user")
    axes.set_ylabel("entropy / prior's")


def _values(rows: Sequence[Facts], name: str) -> Float64Array:
    """(rows,) or (rows, heads) one figure of each."""
    return np.array([row[name] for row in rows], np.float64)


def _changes(axes: Axes, dataset: str, rows: Sequence[tuple[str, Summary, Summary]]) -> None:
    shown = sorted(rows, key=lambda row: _change(*row[1:]))
    values = [_change(lever, base) for _, lever, base in shown]
    colors = [_BLUE if value > 0 else _RED for value in values]
    spread = [lever.spread["validation"] or 0.0 for _, lever, _ in shown]
    axes.barh(
        [title for title, *_ in shown], values, xerr=spread, color=colors, ecolor=_GREY, height=0.66
    )
    axes.axvline(0, color=_GREY, linewidth=0.8)
    axes.set_title(dataset, fontsize=10)
    axes.set_xlabel("validation NDCG against the base")


def _change(lever: Summary, base: Summary) -> float:
    return lever.mean["validation"] - base.mean["validation"]


@contextmanager
def _axes(columns: int, height: float, share: bool = False) -> Iterator[tuple[Figure, list[Axes]]]:
    with rc_context(_STYLE):
        figure = Figure(figsize=(max(8.2, 2.6 * columns), height), layout="constrained")
        yield figure, list(figure.subplots(1, columns, squeeze=False, sharey=share)[0])


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"

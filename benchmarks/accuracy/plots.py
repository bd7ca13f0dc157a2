"""The plots of the accuracy pages as SVG text; the same figures give the same bytes."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.accuracy.results import Summary

_GREY, _BLUE, _RED = "#8a93a0", "#2f7ed8", "#c0504d"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


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


def entropy(layers: Sequence[dict[str, Any]]) -> str:
    """Entropy of attention over that of the prior, by degree: median and the middle 80 %, one panel
    a layer and relation.
    """
    with _axes(len(layers), 2.6, share=True) as (figure, panels):
        for axes, facts in zip(panels, layers, strict=True):
            degree = [bin["degree"] for bin in facts["entropy"]]
            low, middle, high = (
                [bin[name] for bin in facts["entropy"]] for name in ("low", "median", "high")
            )
            axes.fill_between(degree, low, high, color=_GREY, alpha=0.35, linewidth=0)
            axes.plot(degree, middle, color=_BLUE, marker="o", markersize=3)
            axes.axhline(1, color=_GREY, linewidth=0.8)
            axes.set_xscale("log", base=2)
            axes.set_title(
                f"layer {facts['layer']}, into {facts['relation'].rpartition('–')[2]}", fontsize=10
            )
            axes.set_xlabel("neighbours")
        panels[0].set_ylabel("entropy / prior's")
        return _svg(figure)


def slices(rows: Sequence[dict[str, Any]]) -> str:
    """Attention minus γ = 0 on every slice, with 95 % intervals."""
    with _axes(1, 0.9 + 0.3 * len(rows)) as (figure, (axes,)):
        shown = list(reversed(rows))
        reach = [
            [row["difference"] - row["low"] for row in shown],
            [row["high"] - row["difference"] for row in shown],
        ]
        labels = [f"{row['group']}: {row['label']}" for row in shown]
        values = [row["difference"] for row in shown]
        axes.errorbar(values, labels, xerr=reach, fmt="o", color=_BLUE, capsize=3, markersize=4)
        axes.axvline(0, color=_GREY, linewidth=0.8)
        axes.set_xlabel("NDCG@10, attention minus γ = 0")
        return _svg(figure)


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

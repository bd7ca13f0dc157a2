"""The plots of the report as SVG text, drawn with the page's own text colour so that they suit light and dark."""

import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recsys.evaluate.document import Epoch, ModelRow, SliceRow

_INK = "#010203"  # replaced by currentColor in the SVG
_MAIN, _OTHER = "#2f7ed8", "#8a93a0"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def models_plot(rows: Sequence[ModelRow], main: str, deciding: str) -> str:
    """Each model's deciding metric as a bar with its 95 % interval, best on top."""
    shown = sorted((row for row in rows if row.metrics), key=lambda row: row.metrics[deciding].value)
    values = [row.metrics[deciding] for row in shown]
    reach = [
        [one.value - (one.value if one.low is None else one.low) for one in values],
        [(one.value if one.high is None else one.high) - one.value for one in values],
    ]
    with rc_context(_STYLE):
        figure, axes = _figure(0.8 + 0.36 * len(shown))
        colors = [_MAIN if row.name == main else _OTHER for row in shown]
        bars = axes.barh(
            [row.title for row in shown],
            [one.value for one in values],
            xerr=reach,
            color=colors,
            height=0.66,
            ecolor=_INK,
            capsize=3,
        )
        axes.bar_label(bars, labels=[f"{one.value:.4f}" for one in values], padding=6)
        axes.set_xlabel(f"{deciding.upper()} (line: 95 % interval)")
        return _svg(figure, f"{deciding} of every model with its 95 % interval; the table holds the same figures")


def slices_plot(rows: Sequence[SliceRow], main: str, other: str | None, titles: dict[str, str], deciding: str) -> str:
    """The deciding metric of the main model, and of its best rival, on every slice that has one."""
    shown = [row for row in reversed(rows) if main in row.values]
    places = range(len(shown))
    with rc_context(_STYLE):
        figure, axes = _figure(1.3 + 0.4 * len(shown))
        axes.barh(
            [place + 0.2 for place in places],
            [row.values[main] for row in shown],
            0.38,
            color=_MAIN,
            label=titles[main],
        )
        if other is not None:
            values = [row.values[other] for row in shown]
            axes.barh([place - 0.2 for place in places], values, 0.38, color=_OTHER, label=titles[other])
        axes.set_yticks(list(places), [f"{row.group}: {row.label}" for row in shown])
        axes.set_xlabel(deciding.upper())
        figure.legend(frameon=False, labelcolor=_INK, loc="outside upper right", ncols=2)
        return _svg(figure, f"{deciding} on slices of the test; the table holds the same figures")


def training_plot(history: Sequence[Epoch]) -> str:
    """Loss, and validation where it was taken, by epoch."""
    judged = {epoch.epoch: epoch.value for epoch in history if epoch.value is not None}
    with rc_context(_STYLE):
        figure, axes = _figure(2.6)
        axes.plot(
            [epoch.epoch for epoch in history], [epoch.loss for epoch in history], color=_OTHER, label="loss (left)"
        )
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        lines = axes.get_lines()
        if judged:
            right = axes.twinx()
            right.spines["right"].set_visible(True)
            lines = [
                *lines,
                *right.plot(
                    list(judged),
                    list(judged.values()),
                    color=_MAIN,
                    marker="o",
                    markersize=3,
                    label="validation NDCG (right)",
                ),
            ]
        axes.legend(handles=lines, frameon=False, labelcolor=_INK, loc="center right")
        return _svg(figure, "Loss and validation by epoch of training")


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.2, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, description: str) -> str:
    """The figure as an inline element that scales, with a text alternative."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    body = text.getvalue()
    body = body[body.index("<svg") :].replace(_INK, "currentColor")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return re.sub(
        r"<svg ([^>]*?)width=\"[^\"]*\" height=\"[^\"]*\"",
        rf'<svg role="img" aria-label="{description}" \1',
        body,
        count=1,
    )

"""The plots of the report as SVG text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from recsys.evaluate.deciding import DECIDING
from recsys.evaluate.document import Epoch, ModelRow, SliceRow, VisitorRow
from recsys.evaluate.drawing import INK, MAIN, OTHER, STYLE, new_figure, svg_text


def models_plot(rows: Sequence[ModelRow], main: str, deciding: str) -> str:
    """Each model's deciding metric as a bar with its 95 % interval, best on top."""
    shown = [row for row in rows if row.metrics]
    shown.sort(key=lambda row: row.metrics[deciding].value)
    titles, values, below, above, colors = [], [], [], [], []
    for row in shown:
        metric = row.metrics[deciding]
        titles.append(row.title)
        values.append(metric.value)
        below.append(0.0 if metric.low is None else metric.value - metric.low)
        above.append(0.0 if metric.high is None else metric.high - metric.value)
        colors.append(MAIN if row.name == main else OTHER)
    with rc_context(STYLE):
        figure, axes = new_figure(0.8 + 0.36 * len(shown))
        bars = axes.barh(
            titles,
            values,
            xerr=[below, above],
            color=colors,
            height=0.66,
            ecolor=INK,
            capsize=3,
        )
        axes.bar_label(bars, fmt="%.4f", padding=6)
        axes.set_xlabel(f"{deciding.upper()} (line: 95 % interval)")
        return svg_text(
            figure,
            f"{deciding} of every model with its 95 % interval; the table holds the same figures",
        )


def slices_plot(
    rows: Sequence[SliceRow], main: str, other: str | None, titles: dict[str, str], deciding: str
) -> str:
    """The deciding metric of the main model, and of its best rival, on every slice that has one."""
    shown = [row for row in reversed(rows) if main in row.values]
    places = np.arange(len(shown))
    labels = [f"{row.group}: {row.label}" for row in shown]
    with rc_context(STYLE):
        figure, axes = new_figure(1.3 + 0.4 * len(shown))
        values = [row.values[main] for row in shown]
        axes.barh(places + 0.2, values, 0.38, color=MAIN, label=titles[main])
        if other is not None:
            values = [row.values[other] for row in shown]
            axes.barh(places - 0.2, values, 0.38, color=OTHER, label=titles[other])
        axes.set_yticks(places, labels)
        axes.set_xlabel(deciding.upper())
        figure.legend(frameon=False, labelcolor=INK, loc="outside upper right", ncols=2)
        return svg_text(
            figure, f"{deciding} on slices of the test; the table holds the same figures"
        )


def visitors_plot(rows: Sequence[VisitorRow], deciding: str) -> str:
    """Trained vectors and visitors by the number of events that are known, on the same users."""
    places = np.arange(len(rows))
    visitor = [row.visitor for row in rows]
    trained = [row.trained for row in rows]
    with rc_context(STYLE):
        figure, axes = new_figure(2.6)
        dots: dict[str, Any] = {"marker": "o", "markersize": 4}
        axes.plot(places, visitor, color=MAIN, label="as a visitor", **dots)
        axes.plot(places, trained, color=OTHER, label="trained vector", **dots)
        axes.set_xticks(places, [str(row.events) for row in rows])
        axes.set_xlabel("last events known")
        axes.set_ylabel(deciding.upper())
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=INK, loc="lower right")
        return svg_text(
            figure, f"{deciding} of visitors by events known; the table holds the same figures"
        )


def training_plot(history: Sequence[Epoch]) -> str:
    """Loss, and validation where it was taken, by epoch."""
    epochs = [epoch.epoch for epoch in history]
    losses = [epoch.loss for epoch in history]
    validation = {epoch.epoch: epoch.value for epoch in history if epoch.value is not None}
    with rc_context(STYLE):
        figure, axes = new_figure(2.6)
        lines = axes.plot(epochs, losses, color=OTHER, label="loss (left)")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if validation:
            right = axes.twinx()
            right.spines["right"].set_visible(True)
            lines += right.plot(
                list(validation),
                list(validation.values()),
                color=MAIN,
                marker="o",
                markersize=3,
                label=f"validation {DECIDING.upper()} (right)",
            )
        axes.legend(handles=lines, frameon=False, labelcolor=INK, loc="center right")
        return svg_text(figure, "Loss and validation by epoch of training")

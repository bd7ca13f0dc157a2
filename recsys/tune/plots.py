"""The plots of a search as SVG text."""

from itertools import accumulate
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from recsys.evaluate.drawing import INK, MAIN, OTHER, STYLE, new_figure, svg_text
from recsys.tune.document import KeyRow, TrialRow, Tuning
from recsys.tune.values import shown

_COLUMNS = 4


class _Dot(NamedTuple):
    """When a trial ended, in minutes of search, and its validation."""

    minutes: float
    value: float


def progress_plot(tuning: Tuning) -> str:
    """Each trial's validation when it ended, and the best so far."""
    with rc_context(STYLE):
        figure, axes = new_figure(3.0)
        complete: list[_Dot] = []
        pruned: list[_Dot] = []
        minutes = 0.0
        for row in tuning.trials:
            minutes += row.seconds / 60
            if row.state == "complete":
                complete.append(_Dot(minutes, row.value or 0.0))
            elif row.state == "pruned" and row.value is not None:
                pruned.append(_Dot(minutes, row.value))

        as_given = tuning.row(tuning.given).value or 0.0
        axes.axhline(as_given, color=OTHER, linestyle="--", linewidth=1, label="as given")
        ends = [dot.minutes for dot in complete]
        values = [dot.value for dot in complete]
        best = list(accumulate(values, max))
        axes.step(ends, best, where="post", color=MAIN, label="best so far")
        _scatter(axes, complete, MAIN, "o", "complete")
        _scatter(axes, pruned, OTHER, "x", "pruned, its last validation")
        axes.set_xlabel("minutes")
        axes.set_ylabel(tuning.metric.upper())
        figure.legend(frameon=False, labelcolor=INK, loc="outside upper right", ncols=4)
        return svg_text(
            figure,
            "Validation of each trial over time, and the best so far; the table holds the same figures",
        )


def keys_plot(tuning: Tuning) -> str:
    """Validation by each key's value, one panel a key: what a search space should be cut to next
    time.
    """
    rows = [row for row in tuning.trials if row.state == "complete"]
    lines = -(-len(tuning.space) // _COLUMNS)  # rounded up
    with rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(8.2, 0.3 + 2.0 * lines), layout="constrained")
        panels = figure.subplots(lines, _COLUMNS, sharey=True, squeeze=False).ravel()
        for panel, key in zip(panels, tuning.space, strict=False):
            _panel(panel, key, rows, tuning)
        for panel in panels[len(tuning.space) :]:
            panel.set_axis_off()
        return svg_text(figure, "Validation of complete trials by the value of each key")


def _panel(panel: Axes, key: KeyRow, rows: list[TrialRow], tuning: Tuning) -> None:
    values = [row.values[key.key] for row in rows]
    # Numbers among texts are texts as well: one axis of categories.
    if not all(_is_number(value) for value in values):
        values = [shown(value) for value in values]
    colors = [MAIN if row.number == tuning.best else OTHER for row in rows]
    panel.scatter(values, [row.value or 0.0 for row in rows], c=colors, s=18)
    if key.log:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(key.key)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scatter(axes: Axes, dots: list[_Dot], color: str, marker: str, label: str) -> None:
    if not dots:
        return
    minutes, values = zip(*dots, strict=True)
    axes.scatter(minutes, values, c=color, marker=marker, s=22, label=label)

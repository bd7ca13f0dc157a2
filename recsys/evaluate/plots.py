"""The plots of the report as SVG text."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from recsys.evaluate.document import Epoch, ModelRow, SliceRow, VisitorRow
from recsys.evaluate.drawing import INK, MAIN, OTHER, STYLE, new_figure, svg_text


def models_plot(rows: Sequence[ModelRow], main: str, deciding: str) -> str:
    """Each model's deciding metric as a bar with its 95 % interval, best on top."""
    shown = sorted(
        (row for row in rows if row.metrics), key=lambda row: row.metrics[deciding].value
    )
    values = [row.metrics[deciding] for row in shown]
    reach = [
        [one.value - (one.value if one.low is None else one.low) for one in values],
        [(one.value if one.high is None else one.high) - one.value for one in values],
    ]
    with rc_context(STYLE):
        figure, axes = new_figure(0.8 + 0.36 * len(shown))
        colors = [MAIN if row.name == main else OTHER for row in shown]
        bars = axes.barh(
            [row.title for row in shown],
            [one.value for one in values],
            xerr=reach,
            color=colors,
            height=0.66,
            ecolor=INK,
            capsize=3,
        )
        axes.bar_label(bars, labels=[f"{one.value:.4f}" for one in values], padding=6)
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
    places = range(len(shown))
    with rc_context(STYLE):
        figure, axes = new_figure(1.3 + 0.4 * len(shown))
        axes.barh(
            [place + 0.2 for place in places],
            [row.values[main] for row in shown],
            0.38,
            color=MAIN,
            label=titles[main],
        )
        if other is not None:
            values = [row.values[other] for row in shown]
            axes.barh(
                [place - 0.2 for place in places], values, 0.38, color=OTHER, label=titles[other]
            )
        axes.set_yticks(list(places), [f"{row.group}: {row.label}" for row in shown])
        axes.set_xlabel(deciding.upper())
        figure.legend(frameon=False, labelcolor=INK, loc="outside upper right", ncols=2)
        return svg_text(
            figure, f"{deciding} on slices of the test; the table holds the same figures"
        )


def visitors_plot(rows: Sequence[VisitorRow], deciding: str) -> str:
    """Trained vectors and visitors by the number of events that are known, on the same users."""
    places = range(len(rows))
    with rc_context(STYLE):
        figure, axes = new_figure(2.6)
        axes.plot(
            places,
            [row.visitor for row in rows],
            color=MAIN,
            marker="o",
            markersize=4,
            label="as a visitor",
        )
        axes.plot(
            places,
            [row.trained for row in rows],
            color=OTHER,
            marker="o",
            markersize=4,
            label="trained vector",
        )
        axes.set_xticks(list(places), [str(row.events) for row in rows])
        axes.set_xlabel("last events known")
        axes.set_ylabel(deciding.upper())
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=INK, loc="lower right")
        return svg_text(
            figure, f"{deciding} of visitors by events known; the table holds the same figures"
        )


def training_plot(history: Sequence[Epoch]) -> str:
    """Loss, and validation where it was taken, by epoch."""
    judged = {epoch.epoch: epoch.value for epoch in history if epoch.value is not None}
    with rc_context(STYLE):
        figure, axes = new_figure(2.6)
        axes.plot(
            [epoch.epoch for epoch in history],
            [epoch.loss for epoch in history],
            color=OTHER,
            label="loss (left)",
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
                    color=MAIN,
                    marker="o",
                    markersize=3,
                    label="validation NDCG (right)",
                ),
            ]
        axes.legend(handles=lines, frameon=False, labelcolor=INK, loc="center right")
        return svg_text(figure, "Loss and validation by epoch of training")

"""The report as one self-contained HTML page: no script, no outside asset, light and dark."""

from collections.abc import Sequence

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from recsys.evaluate.document import Comparison, Report, Value
from recsys.evaluate.plots import models_plot, slices_plot, training_plot, visitors_plot

_TITLES = {
    "recall": "Recall",
    "ndcg": "NDCG",
    "precision": "Precision",
    "hr": "Hit rate",
    "mrr": "MRR",
    "map": "MAP",
    "coverage": "Coverage",
    "novelty": "Novelty",
    "gini": "Gini",
    "popularity_share": "Popularity share",
    "diversity": "Diversity",
}
_LIST_LEVEL = ("coverage", "novelty", "gini", "popularity_share", "diversity")


def page_environment(package: str) -> Environment:
    """The environment of a page whose template lies in `package`, with the style and the filters
    that pages share.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("recsys.evaluate", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "metric": metric_title,
        "figure": _figure,
        "signed": _signed,
        "p_value": _p_value,
        "interval": _interval,
        "trait": _trait,
        "seconds": _seconds,
        "megabytes": _megabytes,
    }
    return environment


def render(report: Report) -> str:
    """The page of a report, as text. The same report gives the same page."""
    titles = {row.name: row.title for row in report.models}
    return (
        page_environment("recsys.evaluate")
        .get_template("report.html.j2")
        .render(
            report=report,
            titles=titles,
            ranking_metrics=_metrics(report, list_level=False),
            list_metrics=_metrics(report, list_level=True),
            deciding_comparisons=_of(report.comparisons, report.deciding),
            plots=_plots(report, titles),
        )
    )


def metric_title(name: str) -> str:
    """ "ndcg@10" → "NDCG@10"."""
    metric, _, k = name.partition("@")
    return f"{_TITLES.get(metric, metric)}@{k}"


def _metrics(report: Report, list_level: bool) -> dict[str, list[str]]:
    """Metric names by list length, the deciding metric and its list length first."""
    deciding, _, deciding_length = report.deciding.partition("@")
    by_length: dict[str, list[str]] = {deciding_length: []}
    for name in report.row(report.main).metrics:
        metric, _, length = name.partition("@")
        if (metric in _LIST_LEVEL) != list_level:
            continue
        names = by_length.setdefault(length, [])
        if metric == deciding:
            names.insert(0, name)
        else:
            names.append(name)
    if not by_length[deciding_length]:
        del by_length[deciding_length]
    return by_length


def _of(comparisons: Sequence[Comparison], metric: str) -> list[Comparison]:
    return [entry for entry in comparisons if entry.metric == metric]


def _plots(report: Report, titles: dict[str, str]) -> dict[str, str]:
    plots = {"models": models_plot(report.models, report.main, report.deciding)}
    if any(report.main in row.values for row in report.slices):
        plots["slices"] = slices_plot(
            report.slices, report.main, _best_rival(report), titles, report.deciding
        )
    if report.visitors:
        plots["visitors"] = visitors_plot(report.visitors, report.deciding)
    if report.history:
        plots["training"] = training_plot(report.history)
    return plots


def _best_rival(report: Report) -> str | None:
    others = [row for row in report.models if row.metrics and row.name != report.main]
    return max(others, key=lambda row: row.metrics[report.deciding].value).name if others else None


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} s"


def _megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:,.1f} MB"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _p_value(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _trait(value: float, unit: str) -> str:
    """ "97 %", "1 row", "3 days"."""
    if unit == "share":
        return f"{100 * value:.0f} %"
    return f"{value:,.0f} {unit if value != 1 else unit.removesuffix('s')}"


def _interval(value: Value) -> str:
    return "" if value.low is None or value.high is None else f"{value.low:.4f}–{value.high:.4f}"

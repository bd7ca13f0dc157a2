"""The report of a run: every model on the same test users, with intervals, corrected comparisons,
and a verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float64Array, Int32Array
from recsys.core.artefacts import atomic_file
from recsys.core.errors import UsageError
from recsys.core.intervals import bootstrap_means, difference, holm, interval
from recsys.evaluate.agreement import agreement
from recsys.evaluate.deciding import deciding_metric
from recsys.evaluate.document import (
    Comparison,
    Epoch,
    ModelRow,
    Report,
    RunFacts,
    SliceRow,
    ThroughIndex,
    Value,
)
from recsys.evaluate.lists import Catalogue
from recsys.evaluate.metrics import Ranking, rank_metrics
from recsys.evaluate.page import render
from recsys.evaluate.slices import Slice, slice_rows, worst_slice
from recsys.evaluate.verdict import headline, verdict

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Judged:
    """One model's lists for the test users, or why there are none.

    ranked: (test users, k) dense item ids in the order of `Test.users`. validation: the deciding
    metric there. seconds: fitting and ranking. role "ablation" is for variants of the main model,
    such as γ fixed at 0.
    """

    name: str
    title: str
    role: Literal["model", "ablation", "baseline"]
    ranked: Int32Array | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    validation: float | None = None
    seconds: float | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Test:
    """What the lists are judged on. users: (n,) ascending, each with held-out items; held_out:
    (users, items).
    """

    __test__ = False  # not a test case of pytest

    users: Int32Array
    held_out: sparse.csr_matrix
    catalogue: Catalogue
    slices: Sequence[Slice] = ()
    cold: Sequence[SliceRow] = ()


def build_report(
    facts: RunFacts,
    judged: Sequence[Judged],
    test: Test,
    ks: Sequence[int],
    main: str,
    draws: int = 10_000,
    seed: int = 0,
    history: Sequence[Epoch] = (),
    index: ThroughIndex | None = None,
    warnings: Sequence[str] = (),
) -> Report:
    """The document of a run. `main` names the model the run is about; the deciding metric is taken
    at the first of `ks`.

    Raises UsageError when `main` is not among the models with lists.
    """
    deciding = deciding_metric(ks[0])
    rankings = {
        row.name: rank_metrics(row.ranked, test.users, test.held_out, ks, test.catalogue)
        for row in judged
        if row.ranked is not None
    }
    if main not in rankings:
        raise UsageError(
            f"the main model {main!r} has no ranked lists", f"Models with lists: {list(rankings)}"
        )
    means = _resampled(rankings, draws, seed)
    rows = [_row(row, rankings.get(row.name), means.get(row.name)) for row in judged]
    comparisons = _comparisons(rankings, means, main)
    ruling = verdict(rows, comparisons, main, deciding)
    slices = slice_rows(test.slices, _lists(judged), test.users, deciding)
    return Report(
        headline=headline(rows, comparisons, main, deciding),
        facts=facts,
        main=main,
        deciding=deciding,
        draws=draws,
        models=rows,
        comparisons=comparisons,
        verdict=ruling,
        agreement=agreement(rows, deciding),
        slices=[*slices, *test.cold],
        worst_slice=worst_slice(slices, main, rankings[main].overall[deciding], deciding),
        index=index,
        history=list(history),
        warnings=list(warnings),
    )


def write_report(report: Report, folder: Path) -> None:
    """`report.json` and the one-page `report.html` in `folder`."""
    report.save(folder / "report.json")
    with atomic_file(folder / "report.html") as file:
        file.write_text(render(report), encoding="utf-8")


def _lists(judged: Sequence[Judged]) -> dict[str, Int32Array]:
    return {model.name: model.ranked for model in judged if model.ranked is not None}


def _resampled(
    rankings: Mapping[str, Ranking], draws: int, seed: int
) -> dict[str, dict[str, Float64Array]]:
    """Bootstrap means (draws,) by model and metric, over the same draws of users for all of them."""
    names, columns = [], []
    for name, ranking in rankings.items():
        for metric, values in ranking.per_user.items():
            names.append((name, metric))
            columns.append(values)
    column_means = bootstrap_means(np.stack(columns, axis=1), draws, seed)
    means: dict[str, dict[str, Float64Array]] = {name: {} for name in rankings}
    for position, (name, metric) in enumerate(names):
        means[name][metric] = column_means[:, position]
    return means


def _row(
    model: Judged, ranking: Ranking | None, means: Mapping[str, Float64Array] | None
) -> ModelRow:
    metrics: dict[str, Value] = {}
    if ranking is not None and means is not None:
        metrics = {name: Value(value=value) for name, value in ranking.overall.items()}
        for name, values in ranking.per_user.items():
            mean, low, high = interval(values, means[name])
            metrics[name] = Value(value=mean, low=low, high=high)
    return ModelRow(
        name=model.name,
        title=model.title,
        role=model.role,
        params=dict(model.params),
        validation=model.validation,
        seconds=model.seconds,
        metrics=metrics,
        skipped=model.skipped,
    )


def _comparisons(
    rankings: Mapping[str, Ranking], means: Mapping[str, Mapping[str, Float64Array]], main: str
) -> list[Comparison]:
    """The main model minus each other on every metric, corrected over the others within a metric."""
    others = [name for name in rankings if name != main]
    comparisons = []
    for metric, values in rankings[main].per_user.items():
        main_means = means[main][metric]
        differences = []
        for rival in others:
            other_values = rankings[rival].per_user[metric]
            differences.append(difference(values, other_values, main_means, means[rival][metric]))
        # Holm's correction, over the models that are compared on this metric.
        corrected = holm(np.array([apart.p for apart in differences]))
        for rival, apart, p_holm in zip(others, differences, corrected.tolist(), strict=True):
            comparison = Comparison(
                other=rival,
                metric=metric,
                difference=apart.mean,
                low=apart.low,
                high=apart.high,
                p=apart.p,
                p_holm=p_holm,
                finding=_finding(apart.mean, p_holm),
            )
            comparisons.append(comparison)
    return comparisons


def _finding(mean: float, p_holm: float) -> Literal["better", "worse", "undecided"]:
    if p_holm >= SIGNIFICANT:
        return "undecided"
    return "better" if mean > 0 else "worse"

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
        one.name: rank_metrics(one.ranked, test.users, test.held_out, ks, test.catalogue)
        for one in judged
        if one.ranked is not None
    }
    if main not in rankings:
        raise UsageError(
            f"the main model {main!r} has no ranked lists", f"Models with lists: {list(rankings)}"
        )
    means = _resampled(rankings, draws, seed)
    rows = [_row(one, rankings.get(one.name), means.get(one.name)) for one in judged]
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
        slices=[*slices, *test.cold],
        worst_slice=worst_slice(slices, main, rankings[main].overall[deciding], deciding),
        index=index,
        history=list(history),
        warnings=list(warnings),
    )


def write_report(report: Report, folder: Path) -> None:
    """`report.json` and the one-page `report.html` in `folder`."""
    report.save(folder / "report.json")
    with atomic_file(folder / "report.html") as part:
        part.write_text(render(report), encoding="utf-8")


def _lists(judged: Sequence[Judged]) -> dict[str, Int32Array]:
    return {one.name: one.ranked for one in judged if one.ranked is not None}


def _resampled(
    rankings: Mapping[str, Ranking], draws: int, seed: int
) -> dict[str, dict[str, Float64Array]]:
    """Bootstrap means (draws,) by model and metric, over the same draws of users for all of them."""
    columns = [(name, metric) for name, ranking in rankings.items() for metric in ranking.per_user]
    values = np.stack([rankings[name].per_user[metric] for name, metric in columns], axis=1)
    means: dict[str, dict[str, Float64Array]] = {name: {} for name in rankings}
    for (name, metric), column in zip(columns, bootstrap_means(values, draws, seed).T, strict=True):
        means[name][metric] = column
    return means


def _row(
    one: Judged, ranking: Ranking | None, means: Mapping[str, Float64Array] | None
) -> ModelRow:
    metrics: dict[str, Value] = {}
    if ranking is not None and means is not None:
        metrics = {name: Value(value=value) for name, value in ranking.overall.items()}
        for name, values in ranking.per_user.items():
            mean, low, high = interval(values, means[name])
            metrics[name] = Value(value=mean, low=low, high=high)
    return ModelRow(
        name=one.name,
        title=one.title,
        role=one.role,
        params=dict(one.params),
        validation=one.validation,
        seconds=one.seconds,
        metrics=metrics,
        skipped=one.skipped,
    )


def _comparisons(
    rankings: Mapping[str, Ranking], means: Mapping[str, Mapping[str, Float64Array]], main: str
) -> list[Comparison]:
    """The main model minus each other on every metric, corrected over the others within a metric."""
    others = [name for name in rankings if name != main]
    found = []
    for metric, values in rankings[main].per_user.items():
        apart = [
            difference(
                values, rankings[other].per_user[metric], means[main][metric], means[other][metric]
            )
            for other in others
        ]
        corrected = holm(np.array([one.p for one in apart]))
        for other, one, p_holm in zip(others, apart, corrected, strict=True):
            found.append(
                Comparison(
                    other=other,
                    metric=metric,
                    difference=one.mean,
                    low=one.low,
                    high=one.high,
                    p=one.p,
                    p_holm=float(p_holm),
                    finding=_finding(one.mean, float(p_holm)),
                )
            )
    return found


def _finding(mean: float, p_holm: float) -> Literal["better", "worse", "undecided"]:
    if p_holm >= SIGNIFICANT:
        return "undecided"
    return "better" if mean > 0 else "worse"

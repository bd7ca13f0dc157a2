"""Two rows of one dataset, paired by user: means over their seeds, difference with its 95 %
interval.
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.data import locked
from benchmarks.accuracy.kept import lists, required_seeds, seeds
from recsys.core.arrays import Float64Array
from recsys.core.artefacts import read_json, write_json
from recsys.core.intervals import bootstrap_means, difference

COMPARISONS = Path(__file__).parent / "comparisons.json"
METRICS = ("ndcg@10", "recall@20", "ndcg@20")
PerUser = Float64Array


def compare(cache: Path, dataset: str, row: str, other: str) -> list[dict[str, Any]]:
    """One entry a metric; each user's metric is averaged over the seeds of its row first."""
    entries = []
    for metric in METRICS:
        left, right = (mean_of_seeds(cache, name, metric) for name in (row, other))
        entry = {"dataset": dataset, "row": row, "other": other, "metric": metric}
        entry["seeds"] = [len(seeds(cache, name)) for name in (row, other)]
        entries.append(entry | paired(left, right))
    return entries


def mean_of_seeds(cache: Path, row: str, metric: str) -> PerUser:
    """(test users,) the metric of `row`, averaged over every seed that was run."""
    by_seed = [lists(cache, row, seed).per_user[metric] for seed in required_seeds(cache, row)]
    return np.asarray(np.mean(by_seed, axis=0))


def paired(left: PerUser, right: PerUser) -> dict[str, float]:
    """Means of both, and left − right with its interval."""
    means = bootstrap_means(np.column_stack([left, right]))
    apart = difference(left, right, means[:, 0], means[:, 1])
    found = {"value": left.mean(), "other_value": right.mean()} | {
        "difference": apart.mean,
        "low": apart.low,
        "high": apart.high,
        "p": apart.p,
    }
    return {name: round(float(value), 5) for name, value in found.items()}


def read(path: Path = COMPARISONS) -> list[dict[str, Any]]:
    return read_json(path) if path.exists() else []


def add(entries: list[dict[str, Any]], path: Path = COMPARISONS) -> None:
    """Add entries, or replace those of the same dataset, rows and metric."""

    def key(entry: dict[str, Any]) -> tuple[str, ...]:
        return entry["dataset"], entry["row"], entry["other"], entry["metric"]

    with locked(path.parent):
        kept = {key(one): one for one in [*read(path), *entries]}
        write_json(path, [kept[one] for one in sorted(kept)])

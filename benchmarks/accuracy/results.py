"""benchmarks/accuracy/results.json: one entry a dataset, row, seed and way of selection; written
whole or not at all.
"""

from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from benchmarks.accuracy.data import locked
from recsys.core.artefacts import read_json, write_json

RESULTS = Path(__file__).parent / "results.json"
Result = dict[str, Any]
REQUIRED = (
    "dataset",
    "row",
    "seed",
    "recall@20",
    "ndcg@20",
    "selected_on",
    "config",
    "commit",
    "data_sha256",
    "seconds",
    "peak_mb",
    "device",
)


class Summary(NamedTuple):
    """The seeds of one dataset, row and way of selection. spread: standard deviation over seeds,
    None of one alone.

    first: the numbers of the first seed, which makes the choices that others take over.
    """

    dataset: str
    row: str
    selected_on: str
    seeds: tuple[int, ...]
    mean: dict[str, float]
    spread: dict[str, float | None]
    first: dict[str, float]


Summaries = dict[tuple[str, str, str], Summary]
"""By dataset, row and selected_on."""


def read(path: Path = RESULTS) -> list[Result]:
    return read_json(path) if path.exists() else []


def add(result: Result, path: Path = RESULTS) -> None:
    """Add an entry, or replace that of the same key. Processes that add at once wait for each
    other.
    """
    missing = [name for name in REQUIRED if name not in result]
    if missing:
        raise ValueError(f"a result without {', '.join(missing)}")
    with locked(path.parent):
        kept = {key(one): one for one in read(path)} | {key(result): result}
        write_json(path, [kept[key] for key in sorted(kept)])


def summarise(results: Iterable[Result]) -> Summaries:
    """Means and spreads over seeds by (dataset, row, selected_on)."""
    grouped: dict[tuple[str, str, str], list[Result]] = {}
    for one in sorted(results, key=key):
        grouped.setdefault((one["dataset"], one["row"], one["selected_on"]), []).append(one)
    return {key: _summary(key, group) for key, group in grouped.items()}


def _summary(key: tuple[str, str, str], group: list[Result]) -> Summary:
    names = sorted(set.intersection(*(_numbers(one) for one in group)))
    values = {name: [float(one[name]) for one in group] for name in names}
    spread = {name: stdev(found) if len(found) > 1 else None for name, found in values.items()}
    seeds = tuple(sorted(one["seed"] for one in group))
    means, first = (
        {name: of(found) for name, found in values.items()} for of in (mean, itemgetter(0))
    )
    return Summary(*key, seeds, means, spread, first)


def _numbers(result: Result) -> set[str]:
    return {
        name for name, value in result.items() if isinstance(value, int | float) and name != "seed"
    }


def key(result: Result) -> tuple[str, str, int, str]:
    return result["dataset"], result["row"], result["seed"], result["selected_on"]

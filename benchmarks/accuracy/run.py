"""Run one row on one dataset with one seed, and keep its figures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy import authors_counting, kept, results
from benchmarks.accuracy.data import checksums, configuration, load
from benchmarks.accuracy.epoch_log import EpochLog
from benchmarks.accuracy.experiment import Choices, Scored, figures, score
from benchmarks.accuracy.foreign import score_peer
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.search import searched
from benchmarks.record import commit
from recsys.core.config import RunConfig, with_overrides
from recsys.core.machine import cores
from recsys.phases.phase import Phase
from recsys.scores.blend import NO_BLEND, Blend

LOGS = Path(__file__).parent / "test_log"


@dataclass(frozen=True)
class Place:
    """Where data is read and what is kept lies. peers: folder of the peers' virtual environments."""

    data: Path
    cache: Path
    peers: Path | None = None

    def of(self, dataset: str) -> Path:
        return self.cache / dataset


def run(
    row: Row,
    dataset: str,
    seed: int,
    place: Place,
    threads: int | None = None,
    log_test: bool = False,
) -> results.Result:
    """Fit, judge, keep, and return the entry of results.json."""
    config = configured(row, dataset, seed, place, threads)
    log, splits = load(config, place.of(dataset))
    facts: dict[str, Any] = {}
    if row.search:
        config, facts = searched(row, config, log, splits, place.of(dataset))
    if row.script:
        scored = score_peer(row, config, log, splits, place.peers)
    else:
        epoch_log = EpochLog(log_path(row.name, dataset, seed)) if log_test else None
        scored = score(
            row,
            config,
            log,
            splits,
            place.of(dataset),
            choices_of(row.name, dataset, seed),
            epoch_log,
        )
    kept.keep(place.of(dataset), row.name, seed, scored)
    entry = result(row, dataset, config, scored) | facts
    if dataset in authors_counting.SETS:
        learned = Phase("final", log, splits, config).interactions
        entry |= authors_counting.authors_metrics(
            config, learned, scored.ranking.users, scored.ranked
        )
    results.add(entry)
    return entry


def choices_of(row: str, dataset: str, seed: int, path: Path = results.RESULTS) -> Choices | None:
    """What validation chose for seed 0, which the other seeds take over; None where they must
    choose themselves.
    """
    chosen = [
        one for one in results.read(path) if results.key(one) == (dataset, row, 0, "validation")
    ]
    if not seed or not chosen or "epochs" not in chosen[0]:
        return None
    one = chosen[0]
    blend = Blend.read(one["blend"]) if "blend" in one else NO_BLEND
    return Choices(
        one["epochs"], one["validation"], blend, one.get("validation_blended"), one.get("settings")
    )


def configured(
    row: Row,
    dataset: str,
    seed: int,
    place: Place,
    threads: int | None = None,
    sets: Sequence[str] = (),
) -> RunConfig:
    """The run configuration of a row on a dataset."""
    config = configuration(dataset, place.data, row.changes_on(dataset))
    config = with_overrides(config.model_dump(), sets) if sets else config
    return config.model_copy(update={"seed": seed, "threads": threads})


def result(row: Row, dataset: str, config: RunConfig, scored: Scored) -> results.Result:
    """The entry of results.json."""
    return {
        "dataset": dataset,
        "row": row.name,
        "seed": config.seed,
        "selected_on": "validation",
        "config": row.settings
        or config.model_dump(exclude_defaults=True, exclude={"data", "seed", "threads"}),
        "commit": commit(),
        "data_sha256": checksums(dataset, config),
        "device": device(config),
        **figures(scored.ranking),
        **scored.facts,
    }


def device(config: RunConfig) -> str:
    """What it ran on: the GPU's name, or the CPU with its number of threads."""
    if torch.cuda.is_available() and config.train.device != "cpu":
        return torch.cuda.get_device_name()
    threads = config.threads or int(os.environ.get("OMP_NUM_THREADS", cores()))
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


def log_path(row: str, dataset: str, seed: int) -> Path:
    """Where `log_test` writes the test metrics of every epoch."""
    return LOGS / f"{dataset}-{row.replace(':', '-')}-{seed}.jsonl"

"""What a tracker is told of a run, and what every tracker can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.places import REPORT
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig
from recsys.evaluate.cards import write_cards
from recsys.evaluate.document import ModelRow, Report

_CARDS = "tracking"
_LONGEST = 500
"""Letters of a parameter: MLflow takes no more everywhere."""
_NOT_IN_NAMES = re.compile(r"[^\w.-]")


@dataclass(frozen=True)
class Tracked:
    """One run.

    name: of the run.
    folder: its run folder.
    parameters: the configuration by dotted key, as text.
    metrics: by "model/ndcg_at_10": no tracker takes every sign in a name.
    epochs: number of each epoch of the training that validation watched, and its figures.
    tags: what the run is found by.
    files: that are logged as they are.
    bundle: its folder.
    """

    name: str
    folder: Path
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    epochs: list[tuple[int, dict[str, float]]]
    tags: Mapping[str, str]
    files: list[Path]
    bundle: Path


class Tracker(Protocol):
    """One tracker, from `start` on. Whatever it raises is told and counted by the caller.

    where: what a person opens to see the run.
    """

    where: str

    def start(self, run: Tracked) -> None: ...

    def log_parameters(self, run: Tracked) -> None: ...

    def log_metrics(self, run: Tracked) -> None: ...

    def log_epochs(self, run: Tracked) -> None: ...

    def log_files(self, run: Tracked) -> None: ...

    def log_bundle(self, run: Tracked) -> None: ...

    def end(self) -> None: ...


def tracked(folder: RunFolder, config: RunConfig, bundle: Path, live: bool) -> Tracked:
    """What there is to tell of a finished run, its cards written beside; live: whether its bundle
    went live.
    """
    report_folder = folder.path / REPORT
    report = Report.load(report_folder / "report.json")
    stages = folder.read_manifest()["stages"].values()
    metrics = _metrics(report)
    metrics["run/seconds"] = sum(entry["seconds"] for entry in stages)
    metrics["run/processor_seconds"] = sum(entry["processor_seconds"] or 0.0 for entry in stages)
    metrics["run/peak_memory_bytes"] = max(entry["peak_memory_bytes"] for entry in stages)
    epochs = []
    for epoch in report.history:
        figures = {"loss": epoch.loss, "seconds": epoch.seconds}
        if epoch.value is not None:
            figures[_plain(f"validation {report.deciding}")] = epoch.value
        epochs.append((epoch.epoch, figures))
    cards = write_cards(Bundle.load(bundle, verify=False), folder.path / _CARDS)
    return Tracked(
        name=config.name,
        folder=folder.path,
        parameters=_flat(config.model_dump(mode="json", exclude={"tracking"})),
        metrics=metrics,
        epochs=epochs,
        tags={
            "recsys.bundle": bundle.name,
            "recsys.live": str(live).lower(),
            "recsys.verdict": report.verdict.line,
        },
        files=[report_folder / "report.json", report_folder / "report.html", *cards],
        bundle=bundle,
    )


def _metrics(report: Report) -> dict[str, float]:
    """Of every model on the test, with the bounds of the deciding metric."""
    metrics: dict[str, float] = {}
    for row in report.models:
        for name, value in _values(row, report.deciding).items():
            metrics[f"{_plain(row.name)}/{_plain(name)}"] = value
    return metrics


def _values(row: ModelRow, deciding: str) -> dict[str, float]:
    values = {name: metric.value for name, metric in row.metrics.items()}
    decides = row.metrics.get(deciding)
    if decides is not None and decides.low is not None and decides.high is not None:
        values[f"{deciding} low"], values[f"{deciding} high"] = decides.low, decides.high
    if row.validation is not None:
        values[f"validation {deciding}"] = row.validation
    return values


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name.replace("@", "_at_"))


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    parameters: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            parameters |= _flat(value, f"{prefix}{key}.")
        else:
            parameters[f"{prefix}{key}"] = str(value)[:_LONGEST]
    return parameters

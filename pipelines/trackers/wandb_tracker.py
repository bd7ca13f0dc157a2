"""Weights & Biases: a run with configuration, metrics, report, and the bundle as an artifact."""

import os
from pathlib import Path
from typing import Any

import wandb

from pipelines.trackers.tracked import Tracked
from recsys.core.config import TrackingConfig


class WandbTracker:
    """Without a key and without WANDB_MODE, the run is kept in its folder (offline): `wandb sync`."""

    def __init__(self, config: TrackingConfig, folder: Path) -> None:
        self._config, self._folder = config, folder / "tracking"
        self.where = ""
        self._run: Any = None

    def start(self, run: Tracked) -> None:
        self._folder.mkdir(exist_ok=True)
        is_told = "WANDB_MODE" in os.environ or "WANDB_API_KEY" in os.environ
        self._run = wandb.init(
            project=self._config.experiment,
            name=run.name,
            dir=str(self._folder),
            mode=None if is_told else "offline",
            settings=wandb.Settings(silent=True),
        )
        self.where = self._run.url or self._run.dir

    def log_parameters(self, run: Tracked) -> None:
        self._run.config.update({**run.parameters, **run.tags})

    def log_metrics(self, run: Tracked) -> None:
        self._run.summary.update(dict(run.metrics))

    def log_epochs(self, run: Tracked) -> None:
        for number, figures in run.epochs:
            by_name = {f"epochs/{name}": value for name, value in figures.items()}
            self._run.log(by_name, step=number)

    def log_files(self, run: Tracked) -> None:
        report = wandb.Artifact(f"{run.name}-report", type="report")
        for file in run.files:
            report.add_file(str(file))
        self._run.log_artifact(report)

    def log_bundle(self, run: Tracked) -> None:
        bundle = wandb.Artifact(f"{run.name}-bundle", type="model", metadata=dict(run.tags))
        bundle.add_dir(str(run.bundle))
        self._run.log_artifact(bundle)

    def end(self) -> None:
        self._run.finish()

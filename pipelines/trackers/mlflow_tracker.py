"""MLflow: a run with parameters, metrics, report and the bundle as a model that `mlflow models serve`
answers from.
"""

import os
from pathlib import Path

import mlflow

from pipelines.trackers.mlflow_model import log_bundle
from pipelines.trackers.tracked import Tracked
from recsys.core.config import TrackingConfig

_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Of MLflow's client: it would try for minutes where a server is gone."""


class MlflowTracker:
    def __init__(self, config: TrackingConfig, folder: Path) -> None:
        self._config = config
        self.where = ""

    def start(self, run: Tracked) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        if self._config.uri is not None:
            mlflow.set_tracking_uri(self._config.uri)
        mlflow.set_experiment(self._config.experiment)
        started = mlflow.start_run(run_name=run.name, tags=dict(run.tags))
        self.where = f"{mlflow.get_tracking_uri()} run {started.info.run_id}"

    def log_parameters(self, run: Tracked) -> None:
        mlflow.log_params(dict(run.parameters))

    def log_metrics(self, run: Tracked) -> None:
        mlflow.log_metrics(dict(run.metrics))

    def log_epochs(self, run: Tracked) -> None:
        for number, figures in run.epochs:
            by_name = {f"epochs/{name}": value for name, value in figures.items()}
            mlflow.log_metrics(by_name, step=number)

    def log_files(self, run: Tracked) -> None:
        for file in run.files:
            mlflow.log_artifact(str(file), artifact_path="report")

    def log_bundle(self, run: Tracked) -> None:
        log_bundle(run.bundle)

    def end(self) -> None:
        mlflow.end_run()

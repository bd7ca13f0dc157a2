"""Where a finished run is logged, beside its folder."""

from typing import Literal

from recsys.core.config.section import Section

TrackerName = Literal["none", "mlflow", "wandb", "tensorboard"]


class TrackingConfig(Section):
    """A tracker that is told of parameters, metrics, report and bundle when a run ends. One that is
    down costs a warning, never the run.
    """

    tracker: TrackerName = "none"
    """mlflow, wandb or tensorboard (`pip install "recsys[mlflow]"` and so on)."""
    uri: str | None = None
    """Tracking server of MLflow, or folder of TensorBoard's events; when absent what MLflow's own
    variables say, and the run folder. Credentials belong in the tracker's variables.
    """
    experiment: str = "recsys"
    """Experiment of MLflow, project of W&B."""

"""TensorBoard: a folder of events for each bundle; needs neither torch nor TensorFlow to be written."""

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from pipelines.trackers.tracked import Tracked
from recsys.core.config import TrackingConfig


class TensorboardTracker:
    """The report and the bundle are named, not copied: TensorBoard has no place for files."""

    def __init__(self, config: TrackingConfig, folder: Path) -> None:
        self._events = Path(config.uri) if config.uri else folder / "tracking" / "tensorboard"
        self.where = ""
        self._writer: Any = None

    def start(self, run: Tracked) -> None:
        self.where = str(self._events / f"{run.name}-{run.tags['recsys.bundle']}")
        self._writer = SummaryWriter(self.where)

    def log_parameters(self, run: Tracked) -> None:
        rows = [f"| {name} | {value} |" for name, value in run.parameters.items()]
        self._writer.add_text("parameters", "\n".join(["| key | value |", "|---|---|", *rows]))

    def log_metrics(self, run: Tracked) -> None:
        for name, value in run.metrics.items():
            self._writer.add_scalar(name, value, 0)

    def log_epochs(self, run: Tracked) -> None:
        for number, figures in run.epochs:
            for name, value in figures.items():
                self._writer.add_scalar(f"epochs/{name}", value, number)

    def log_files(self, run: Tracked) -> None:
        lines = [f"- {file}" for file in run.files]
        self._writer.add_text("report", "\n".join([run.tags["recsys.verdict"], "", *lines]))

    def log_bundle(self, run: Tracked) -> None:
        self._writer.add_text("bundle", str(run.bundle))

    def end(self) -> None:
        self._writer.close()

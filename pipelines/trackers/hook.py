"""The hook of a run: a tracker is looked for before it starts, and told when it has ended.

What goes wrong there is a warning and a count: a run that trained for an hour never fails because a tracker
does.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from pipelines.trackers.tracked import Tracked, Tracker
from recsys.core.config import TrackingConfig
from recsys.core.errors import MachineError
from recsys.core.urls import require_no_password


class _Known(NamedTuple):
    module: str
    class_name: str
    secret: str


_TRACKERS = {
    "mlflow": _Known("mlflow_tracker", "MlflowTracker", "$MLFLOW_TRACKING_PASSWORD"),
    "wandb": _Known("wandb_tracker", "WandbTracker", "$WANDB_API_KEY"),
    "tensorboard": _Known("tensorboard_tracker", "TensorboardTracker", "nothing: it is a folder"),
}


@dataclass
class Tracking:
    """What became of it.

    where: what a person opens; None where nothing was begun.
    logged: parts that the tracker has.
    failed: parts that it has not, each with the error in one line.
    """

    tracker: str
    where: str | None = None
    logged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def tracker_of(config: TrackingConfig, folder: Path) -> Tracker | None:
    """The tracker that a configuration names, not started; None for none. folder: of the run.

    Raises MachineError where its package is not installed, UsageError for a password in `uri`:
    before anything was trained.
    """
    if config.tracker == "none":
        return None
    known = _TRACKERS[config.tracker]
    require_no_password(config.uri or "", "tracking.uri", known.secret)
    try:
        module = import_module(f"pipelines.trackers.{known.module}")
    except ImportError as error:
        raise MachineError(
            f"{config.tracker} is not installed ({error})",
            f'pip install "recsys[{config.tracker}]"',
        ) from None
    tracker: Tracker = getattr(module, known.class_name)(config, folder)
    return tracker


def track(name: str, tracker: Tracker, describe: Callable[[], Tracked]) -> Tracking:
    """Tell a tracker of a run, part by part; never raises but when interrupted."""
    tracking = Tracking(name)
    try:
        run = describe()
        tracker.start(run)
    except Exception as error:
        _fail(tracking, "start", error)
        return tracking
    tracking.where = tracker.where
    log_by_kind: dict[str, Callable[[Tracked], None]] = {
        "parameters": tracker.log_parameters,
        "metrics": tracker.log_metrics,
        "epochs": tracker.log_epochs,
        "files": tracker.log_files,
        "bundle": tracker.log_bundle,
    }
    for kind, log in log_by_kind.items():
        try:
            log(run)
        except Exception as error:
            _fail(tracking, kind, error)
        else:
            tracking.logged.append(kind)
    try:
        tracker.end()
    except Exception as error:
        _fail(tracking, "end", error)
    return tracking


def _fail(tracking: Tracking, part: str, error: Exception) -> None:
    lines = str(error).strip().splitlines() or [""]
    tracking.failed[part] = f"{type(error).__name__}: {lines[0]}"
    warnings.warn(
        f"{tracking.tracker} has not got the {part} of this run ({tracking.failed[part]}); "
        "the run itself is whole",
        stacklevel=3,
    )

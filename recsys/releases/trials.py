"""Beginning and ending the experiment of a run."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError
from recsys.experiments.definition import Experiment, latest, new_arm, new_experiment, save
from recsys.releases.life_cycle import find, live, switching
from recsys.releases.publish import load_verified

LIVE = "live"
"""In place of a bundle's name: the one that is live when the experiment begins."""


class WantedArm(NamedTuple):
    """bundle: its name, how it begins, or LIVE."""

    name: str
    bundle: str
    share: float


def start_experiment(
    folder: RunFolder, arms: Sequence[WantedArm], holdout: float = 0.0, **settings: object
) -> Experiment:
    """Verify the bundles of all arms and begin.

    Args:
        folder: Of the run.
        arms: The first is the control.
        holdout: Share of users who get what is popular.
        settings: Other fields of `Experiment`.

    Returns:
        The experiment, which services of the run follow from now on.

    Raises:
        UsageError: Another is under way, a bundle is unknown, or a value cannot be.
        DataError: A bundle is damaged.
    """
    with switching(folder):
        before = latest(folder)
        if before is not None and before.is_running:
            raise UsageError(
                f"experiment {before.id} is under way",
                f"End it first: recsys experiment stop {folder.path}",
            )
        new_arms = []
        for arm in arms:
            name = live(folder) if arm.bundle == LIVE else arm.bundle
            path = find(folder, name or "")
            new_arms.append(new_arm(arm.name, path.name, arm.share))
        experiment = new_experiment(new_arms, holdout, **settings)
        for name in sorted(experiment.bundles):
            load_verified(folder.bundles / name)
        save(folder, experiment)
    return experiment


def stop_experiment(folder: RunFolder) -> Experiment:
    """End the one under way: all users get the live bundle again. Raises UsageError where there is none."""
    with switching(folder):
        experiment = latest(folder)
        if experiment is None or not experiment.is_running:
            raise UsageError(
                f"{folder.path} has no experiment under way", "See recsys experiment list"
            )
        ended = experiment.model_copy(update={"ended": time.time()})
        save(folder, ended)
    return ended

"""What an experiment is: which users get which bundle. A file each in the run folder; the newest may be
running.
"""

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.core.artefacts import RunFolder, read_json, write_json
from recsys.core.errors import DataError, UsageError, nearest

HOLDOUT = "holdout"
FOLDER = "experiments"
"""Of a run folder; ID.json and ID.answers.jsonl."""

RATES = ("click_through", "clicks_per_list", "conversion", "clickers", "converters")
RateName = Literal["click_through", "clicks_per_list", "conversion", "clickers", "converters"]
Share = Annotated[float, Field(gt=0, le=1)]

Model = TypeVar("Model", bound=BaseModel)

_ROUNDING = 1e-9


class Arm(BaseModel):
    """bundle: name of a bundle of the run; None for the holdout, which gets what is popular."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    bundle: str | None
    share: Share


class Experiment(BaseModel):
    """Fixed from its start to its end: a change of shares on the way would mix users of two kinds.

    id: also the salt of all that is drawn. began, ended: unix seconds.
    arms: the first is the control; the holdout, if any, is the last.
    explore: share of answers that are drawn at random, from `pool` items.
    rate: the one that decides. effect: a difference of it that is worth finding.
    days: that it is to go on. alpha: of all comparisons together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    began: float
    ended: float | None = None
    arms: tuple[Arm, ...] = Field(min_length=1)
    explore: float = Field(0.0, ge=0, le=1)
    pool: int = Field(20, ge=2, le=1000)
    rate: RateName = "click_through"
    effect: float = Field(0.01, gt=0)
    days: float = Field(14.0, gt=0)
    alpha: float = Field(0.05, gt=0, lt=1)

    @property
    def is_running(self) -> bool:
        return self.ended is None

    @property
    def control(self) -> Arm:
        return self.arms[0]

    @property
    def shares(self) -> tuple[float, ...]:
        return tuple(arm.share for arm in self.arms)

    @property
    def bundles(self) -> set[str]:
        return {arm.bundle for arm in self.arms if arm.bundle is not None}


def new_experiment(arms: Sequence[Arm], holdout: float = 0.0, **settings: object) -> Experiment:
    """One that begins now.

    Args:
        arms: The first is the control.
        holdout: Share of users who get what is popular.
        settings: Other fields of `Experiment`.

    Returns:
        The experiment; nothing is written.

    Raises:
        UsageError: It has nothing to compare, shares of more than one, a name twice, or a value that
            cannot be.
    """
    everybody = [*arms]
    if holdout:
        everybody.append(_checked(Arm, name=HOLDOUT, bundle=None, share=holdout))
    names = [arm.name for arm in everybody]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"the arm {twice[0]!r} is named twice", "Call each arm otherwise")
    if any(arm.name == HOLDOUT for arm in arms):
        raise UsageError(f"an arm is called {HOLDOUT!r}", "Give --holdout SHARE in its place")
    total = sum(arm.share for arm in everybody)
    if total > 1 + _ROUNDING:
        raise UsageError(
            f"the shares add up to {total:g}", "Give at most 1; who is in no arm is not counted"
        )
    explore = settings.get("explore")
    if len(everybody) < 2 and not explore:
        raise UsageError(
            "a single arm has nothing to be compared with", "Give another --arm, or --holdout SHARE"
        )
    return _checked(Experiment, id=_new_id(), began=time.time(), arms=tuple(everybody), **settings)


def new_arm(name: str, bundle: str, share: float) -> Arm:
    """Raises UsageError for a name or a share that cannot be."""
    return _checked(Arm, name=name, bundle=bundle, share=share)


def all_experiments(folder: RunFolder) -> list[Experiment]:
    """Of a run, oldest first. Raises DataError for a file that is none."""
    return [_read(file) for file in _files(folder)]


def latest(folder: RunFolder) -> Experiment | None:
    """The newest, the only one that may be running. Raises DataError for a file that is none."""
    files = _files(folder)
    return _read(files[-1]) if files else None


def find_experiment(folder: RunFolder, name: str | None = None) -> Experiment:
    """The one whose id begins so, the newest when None. Raises UsageError for none and for several."""
    experiments = all_experiments(folder)
    if not experiments:
        raise UsageError(
            f"{folder.path} has no experiment", "Begin one with: recsys experiment start"
        )
    if name is None:
        return experiments[-1]
    known = [experiment.id for experiment in experiments]
    matching = [experiment for experiment in experiments if experiment.id.startswith(name)]
    if len(matching) != 1:
        what = f"{len(matching)} experiments begin with" if matching else "there is no experiment"
        raise UsageError(f"{what} {name!r}", nearest(name, known) or f"{folder.path} has {known}")
    return matching[0]


def save(folder: RunFolder, experiment: Experiment) -> None:
    """Write its file, whole or not at all."""
    write_json(folder.path / FOLDER / f"{experiment.id}.json", experiment.model_dump())


def answers_of(folder: RunFolder, experiment: Experiment) -> Path:
    """The answers that services gave in it."""
    return folder.path / FOLDER / f"{experiment.id}.answers.jsonl"


def all_answers(folder: RunFolder) -> list[Path]:
    """Those of all experiments."""
    return sorted((folder.path / FOLDER).glob("*.answers.jsonl"))


def bundles_in_use(folder: RunFolder) -> set[str]:
    """Of the running experiment: they must not go."""
    experiment = latest(folder)
    return experiment.bundles if experiment is not None and experiment.is_running else set()


def with_other_bundle(experiment: Experiment, old: str, new: str) -> Experiment:
    """Where a bundle has taken the place of another that was the same but for a person."""
    arms = []
    for arm in experiment.arms:
        name = new if arm.bundle == old else arm.bundle
        arms.append(arm.model_copy(update={"bundle": name}))
    return experiment.model_copy(update={"arms": tuple(arms)})


def iso(seconds: float) -> str:
    """A moment, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _files(folder: RunFolder) -> list[Path]:
    """Later ones sort behind."""
    return sorted((folder.path / FOLDER).glob("[0-9a-f]*.json"))


def _new_id() -> str:
    return f"{int(time.time()):08x}{secrets.token_hex(4)}"


def _read(file: Path) -> Experiment:
    try:
        return Experiment.model_validate(read_json(file))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{str(file)!r} is no experiment: {error}", "Restore the file, or move it away"
        ) from None


def _checked(kind: type[Model], **values: object) -> Model:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(key) for key in first["loc"])
        raise UsageError(f"{name} = {first['input']!r}: {first['msg']}") from None

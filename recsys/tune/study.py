"""The trials of a search in an SQLite file: what was tried, and what to try next."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from recsys.core.config import TuneConfig
from recsys.core.errors import MachineError
from recsys.tune.space import Choices, Dimension, Space

FILE = "study.db"
_MOVED = 2  # keys that change from the best so far, until the search learns from all
_WARM_UP_EPOCHS = 2  # the first validations say little about the last ones
_COMPLETE_FIRST = 3  # trials, before any is pruned
_RUNGS = (0.25, 0.5)  # of its epochs, where a trial has to stand among the better half
_CLEAR = 1.1  # epochs judge the vectors alone, and what histories add may turn round what lies nearer together
_RANKED = (TrialState.COMPLETE, TrialState.PRUNED)

# What is kept of a trial beside its parameters and values.
GIVEN, SECONDS, VALUES, FACTS, REASON, CONTINUES, EPOCHS = (
    "given",
    "seconds",
    "values",
    "facts",
    "reason",
    "continues",
    "epochs",
)
SETTLED = "settled"
"""What is kept of the study: what a probe settled in its first trial."""


@contextmanager
def open_study(folder: Path, settings: TuneConfig) -> Iterator[optuna.Study]:
    """The study in `folder`, a new one or that of an earlier process; what a killed one left
    running is to be tried again.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    pruner: BasePruner = NopPruner()
    if settings.prune:
        pruner = _Halving(min(_COMPLETE_FIRST, settings.startup))
    storage = None
    try:
        storage = RDBStorage(URL.create("sqlite", database=str(folder / FILE)).render_as_string())
        study = optuna.create_study(
            storage=storage,
            study_name="tune",
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
        _enqueue_interrupted(study)
        yield study
    except (StorageInternalError, SQLAlchemyError) as error:
        remedy = "Free some space or choose another --out; when the file is damaged, remove it to search anew"
        raise MachineError(f"cannot use {folder / FILE}: {error}", remedy) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


class _Halving(BasePruner):
    """Ends a trial whose best epoch so far is a tenth below the median of what complete ones had
    after as many; and at a quarter and at half of its epochs one that is below the median of all
    that came so far (successive halving, Jamieson and Talwalkar 2016).
    """

    def __init__(self, complete_first: int) -> None:
        self.complete_first = complete_first

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or len(trial.intermediate_values) < _WARM_UP_EPOCHS:
            return False
        best_of_complete = _bests(complete(study), step)
        if len(best_of_complete) < self.complete_first:
            return False
        own_best = max(trial.intermediate_values.values())
        if _CLEAR * own_best < np.median(best_of_complete):
            return True
        epochs = trial.user_attrs.get(EPOCHS, 0)
        rungs = [ceil(share * epochs) for share in _RUNGS]
        if step not in rungs:
            return False
        best_of_others = _bests(_that_reached(study, step), step)
        has_enough = len(best_of_others) >= _COMPLETE_FIRST
        return bool(has_enough and own_best < np.median(best_of_others))


def _that_reached(study: optuna.Study, step: int) -> list[FrozenTrial]:
    """Complete and pruned trials that were trained for so many epochs."""
    trials = study.get_trials(deepcopy=False, states=_RANKED)
    return [trial for trial in trials if (trial.last_step or 0) >= step]


def _bests(trials: Sequence[FrozenTrial], step: int) -> list[float]:
    """The best value of each trial up to an epoch; of those that reported one."""
    bests = []
    for trial in trials:
        values = _values_until(trial, step)
        if values:
            bests.append(max(values))
    return bests


def _values_until(trial: FrozenTrial, step: int) -> list[float]:
    """What a trial reported up to that epoch."""
    return [value for epoch, value in trial.intermediate_values.items() if epoch <= step]


def ask(
    study: optuna.Study, space: Space, given: Mapping[str, Any], seed: int, startup: int
) -> Trial:
    """The next trial: the configuration as given first, then what was interrupted, then what the
    search suggests.

    Up to `startup` trials that is something beside the best so far, later what TPE (Bergstra et al.
    2011) makes of all. Same seed and same finished trials, same suggestion, in whichever process.
    """
    num_finished = len(finished(study))
    draw = np.random.default_rng([seed, num_finished])
    if not _has_trial_as_given(study):
        study.enqueue_trial(_drawn(space, given), user_attrs={GIVEN: True})
    elif num_finished < startup and not _waiting(study):
        best_so_far = best(complete(study)).user_attrs[VALUES]
        beside_best = _beside(space, _drawn(space, best_so_far), draw)
        study.enqueue_trial(beside_best)

    study.sampler = TPESampler(n_startup_trials=startup, seed=int(draw.integers(2**32)))
    keys = list(space)
    waiting = _waiting(study)
    if waiting and GIVEN in waiting[0].user_attrs:
        keys = list(waiting[0].system_attrs["fixed_params"])
    return study.ask({key: _distribution(space[key]) for key in keys})


def _waiting(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _has_trial_as_given(study: optuna.Study) -> bool:
    """Whether the configuration as given was tried, is being tried or waits."""
    for trial in study.trials:
        if GIVEN in trial.user_attrs and trial.state != TrialState.FAIL:
            return True
    return False


def chosen(trial: Trial, space: Space) -> dict[str, Any]:
    """The configuration values of a trial; none for the configuration as given."""
    if GIVEN in trial.user_attrs:
        return {}
    return {key: space[key].value(drawn) for key, drawn in trial.params.items()}


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: complete, pruned, or failed for a reason of their own; not those that were
    interrupted.
    """
    trials = []
    for trial in study.get_trials(deepcopy=False):
        failed_by_itself = trial.state == TrialState.FAIL and REASON in trial.user_attrs
        if trial.state in _RANKED or failed_by_itself:
            trials.append(trial)
    return trials


def complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def best(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """The complete trial with the highest value; the earliest of several."""
    return max(trials, key=lambda trial: (trial.value or 0.0, -trial.number))


def spent_seconds(study: optuna.Study) -> float:
    """Seconds of all trials so far, interrupted ones up to their last epoch included."""
    seconds = 0.0
    for trial in study.get_trials(deepcopy=False):
        seconds += trial.user_attrs.get(SECONDS, 0.0)
    return seconds


def _enqueue_interrupted(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        marks = {GIVEN: True} if GIVEN in trial.user_attrs else {}
        study.enqueue_trial(trial.params, user_attrs={**marks, CONTINUES: trial.number})


def _drawn(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration values as the search draws them; those outside the space are left out."""
    drawn = {}
    for key, value in values.items():
        dimension = space[key]
        if not dimension.holds(value):
            continue
        drawn[key] = value
        if isinstance(dimension, Choices):
            [drawn[key]] = Choices.of(value).labels
    return drawn


def _beside(space: Space, values: Mapping[str, Any], draw: np.random.Generator) -> dict[str, Any]:
    """Values as the search draws them, a few of them moved; what the space does not hold moves into
    it.
    """
    num_moved = min(_MOVED, len(space))
    moved = set(draw.choice(sorted(space), num_moved, replace=False))
    beside = {}
    for key, dimension in space.items():
        if key in moved or key not in values:
            beside[key] = dimension.beside(values.get(key), draw)
        else:
            beside[key] = values[key]
    return beside


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.labels)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)

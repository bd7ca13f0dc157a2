"""What a search found, as one JSON document: every trial, the best one against the configuration as
given.
"""

from typing import Any, Literal

import numpy as np
from optuna import Study
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from recsys.core.errors import UsageError
from recsys.core.intervals import bootstrap_means, difference
from recsys.core.machine import versions
from recsys.evaluate.deciding import deciding_metric
from recsys.tune import study as trials
from recsys.tune.search import Budget, Search
from recsys.tune.space import Range, value_at

_ENOUGH_FOR_IMPORTANCE = 8  # complete trials


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrialRow(_Part):
    """One finished trial. number: from 1. value: NDCG on validation; of a pruned trial its last.
    reason: of a failure.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    given: bool
    values: dict[str, Any]
    value: float | None
    epochs: int
    stopped: str | None
    seconds: float
    reason: str | None = None


class KeyRow(_Part):
    """One key of the space: what was tried, its value as given and in the best trial.

    importance: share of the variance of the complete trials (fANOVA, Hutter et al. 2014); None for
    few trials.
    """

    key: str
    tried: str
    log: bool
    given: Any
    best: Any
    importance: float | None


class Gain(_Part):
    """The best trial minus the configuration as given on the same validation users: paired
    bootstrap.

    The users are those that the best trial was chosen by, so that the gain on other users is
    smaller on average.
    """

    difference: float
    low: float
    high: float
    p: float
    users: int
    draws: int


class Tuning(_Part):
    """A search."""

    format: Literal[1] = 1
    name: str
    headline: str
    metric: str
    given: int
    """Number of the trial of the configuration as given."""
    best: int
    gain: Gain
    space: list[KeyRow]
    trials: list[TrialRow]
    interrupted: int
    """Trials that ended with their process and were tried again."""
    seed: int
    budget: dict[str, float]
    seconds: float
    stopped: str
    """What ended the search: "trials", "minutes" or "interrupt"."""
    versions: dict[str, str]

    def row(self, number: int) -> TrialRow:
        return next(row for row in self.trials if row.number == number)


def tuning_of(search: Search, study: Study, budget: Budget, stopped: str) -> Tuning:
    """The document of a search, whole or interrupted. Raises UsageError while no trial is complete."""
    done = trials.complete(study)
    if not done:
        raise UsageError("no trial is complete yet", "Give the search more --budget-minutes")
    config = search.phase.config
    best, given = (
        trials.best(done),
        next(trial for trial in done if trials.GIVEN in trial.user_attrs),
    )
    gain = _gain(search, best, given)
    metric = deciding_metric(config.train.metric_k)
    finished = trials.finished(study)
    rows = [_row(number, trial) for number, trial in enumerate(finished, start=1)]
    best_row, given_row = (rows[finished.index(trial)] for trial in (best, given))
    return Tuning(
        name=config.name,
        headline=_headline(metric, best_row, given_row, gain),
        metric=metric,
        given=given_row.number,
        best=best_row.number,
        gain=gain,
        space=_keys(search, study, best, given),
        trials=rows,
        interrupted=len(study.get_trials(deepcopy=False, states=(TrialState.FAIL,)))
        - sum(row.state == "failed" for row in rows),
        seed=config.seed,
        budget={"trials": budget.trials, "minutes": budget.minutes},
        seconds=trials.spent_seconds(study),
        stopped=stopped,
        versions=versions() | versions(("optuna",)),
    )


def best_values(search: Search, study: Study) -> dict[str, Any]:
    """Dotted key → value of the best trial, of the keys in which it differs from the configuration
    as given.
    """
    values = trials.best(trials.complete(study)).user_attrs[trials.VALUES]
    return {
        key: value for key, value in values.items() if value != value_at(search.phase.config, key)
    }


def _keys(search: Search, study: Study, best: FrozenTrial, given: FrozenTrial) -> list[KeyRow]:
    shares = _importance(search, study)
    return [
        KeyRow(
            key=key,
            tried=str(dimension),
            log=isinstance(dimension, Range) and dimension.log,
            given=given.user_attrs[trials.VALUES][key],
            best=best.user_attrs[trials.VALUES][key],
            importance=shares.get(key),
        )
        for key, dimension in search.space.items()
    ]


def _importance(search: Search, study: Study) -> dict[str, float]:
    """Empty where it would mean nothing: few trials, or trials that are all alike."""
    drawn = [trial for trial in trials.complete(study) if set(trial.params) == set(search.space)]
    if len(drawn) < _ENOUGH_FOR_IMPORTANCE or len({trial.value for trial in drawn}) == 1:
        return {}
    found = get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(seed=0), params=list(search.space)
    )
    return {key: round(float(share), 4) for key, share in found.items()}


def _gain(search: Search, best: FrozenTrial, given: FrozenTrial) -> Gain:
    config = search.phase.config
    values = np.stack([search.users(best.number), search.users(given.number)], axis=1)
    means = bootstrap_means(values, config.evaluate.bootstrap, config.seed)
    apart = difference(values[:, 0], values[:, 1], means[:, 0], means[:, 1])
    return Gain(
        difference=apart.mean,
        low=apart.low,
        high=apart.high,
        p=apart.p,
        users=len(values),
        draws=len(means),
    )


def _headline(metric: str, best: TrialRow, given: TrialRow, gain: Gain) -> str:
    name = metric.upper()
    if best.number == given.number:
        return f"No trial beat the configuration as given: {name} {given.value:.4f} on validation."
    sure = "" if gain.low > 0 else ", not distinguishable from none"
    return (
        f"Trial {best.number} reaches {name} {best.value:.4f} on validation, the configuration as given "
        f"{given.value:.4f}: {gain.difference:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}{sure})."
    )


def _row(number: int, trial: FrozenTrial) -> TrialRow:
    marks = trial.user_attrs
    facts = marks.get(trials.FACTS, {})
    return TrialRow(
        number=number,
        state=_state(trial),
        given=trials.GIVEN in marks,
        values=marks.get(trials.VALUES, {}),
        value=trial.value
        if trial.state == TrialState.COMPLETE
        else trial.intermediate_values.get(trial.last_step or 0),
        epochs=facts.get("epochs", trial.last_step or 0),
        stopped=facts.get("stopped"),
        seconds=round(marks.get(trials.SECONDS, 0.0), 3),
        reason=marks.get(trials.REASON),
    )


def _state(trial: FrozenTrial) -> Literal["complete", "pruned", "failed"]:
    if trial.state == TrialState.COMPLETE:
        return "complete"
    return "pruned" if trial.state == TrialState.PRUNED else "failed"

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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrialRow(_Section):
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


class KeyRow(_Section):
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


class Gain(_Section):
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


class Tuning(_Section):
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
    complete = trials.complete(study)
    if not complete:
        raise UsageError("no trial is complete yet", "Give the search more --budget-minutes")
    config = search.phase.config
    best = trials.best(complete)
    as_given = next(trial for trial in complete if trials.GIVEN in trial.user_attrs)
    gain = _gain(search, best, as_given)
    metric = deciding_metric(config.train.metric_k)
    finished = trials.finished(study)
    rows = [_row(number, trial) for number, trial in enumerate(finished, start=1)]
    best_row = rows[finished.index(best)]
    given_row = rows[finished.index(as_given)]
    num_failed = len(study.get_trials(deepcopy=False, states=(TrialState.FAIL,)))
    failed_by_themselves = [row for row in rows if row.state == "failed"]
    return Tuning(
        name=config.name,
        headline=_headline(metric, best_row, given_row, gain),
        metric=metric,
        given=given_row.number,
        best=best_row.number,
        gain=gain,
        space=_keys(search, study, best, as_given),
        trials=rows,
        interrupted=num_failed - len(failed_by_themselves),
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
    best = trials.best(trials.complete(study))
    changed = {}
    for key, value in best.user_attrs[trials.VALUES].items():
        if value != value_at(search.phase.config, key):
            changed[key] = value
    return changed


def _keys(search: Search, study: Study, best: FrozenTrial, as_given: FrozenTrial) -> list[KeyRow]:
    importance = _importance(search, study)
    rows = []
    for key, dimension in search.space.items():
        row = KeyRow(
            key=key,
            tried=str(dimension),
            log=isinstance(dimension, Range) and dimension.log,
            given=as_given.user_attrs[trials.VALUES][key],
            best=best.user_attrs[trials.VALUES][key],
            importance=importance.get(key),
        )
        rows.append(row)
    return rows


def _importance(search: Search, study: Study) -> dict[str, float]:
    """Empty where it would mean nothing: few trials, or trials that are all alike."""
    whole = [trial for trial in trials.complete(study) if set(trial.params) == set(search.space)]
    distinct_values = {trial.value for trial in whole}
    if len(whole) < _ENOUGH_FOR_IMPORTANCE or len(distinct_values) == 1:
        return {}
    evaluator = FanovaImportanceEvaluator(seed=0)
    shares = get_param_importances(study, evaluator=evaluator, params=list(search.space))
    return {key: round(float(share), 4) for key, share in shares.items()}


def _gain(search: Search, best: FrozenTrial, as_given: FrozenTrial) -> Gain:
    config = search.phase.config
    per_user = [search.users(best.number), search.users(as_given.number)]
    values = np.stack(per_user, axis=1)
    means = bootstrap_means(values, config.evaluate.bootstrap, config.seed)
    gain = difference(values[:, 0], values[:, 1], means[:, 0], means[:, 1])
    return Gain(
        difference=gain.mean,
        low=gain.low,
        high=gain.high,
        p=gain.p,
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
    last_epoch = trial.last_step or 0
    value = trial.intermediate_values.get(last_epoch)
    if trial.state == TrialState.COMPLETE:
        value = trial.value
    return TrialRow(
        number=number,
        state=_state(trial),
        given=trials.GIVEN in marks,
        values=marks.get(trials.VALUES, {}),
        value=value,
        epochs=facts.get("epochs", last_epoch),
        stopped=facts.get("stopped"),
        seconds=round(marks.get(trials.SECONDS, 0.0), 3),
        reason=marks.get(trials.REASON),
    )


def _state(trial: FrozenTrial) -> Literal["complete", "pruned", "failed"]:
    if trial.state == TrialState.COMPLETE:
        return "complete"
    return "pruned" if trial.state == TrialState.PRUNED else "failed"

"""The search: one real training a trial, judged on validation, within a number of trials and of
minutes.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from optuna import Study, TrialPruned
from optuna.trial import Trial, TrialState

from recsys.core.arrays import Float64Array
from recsys.core.artefacts import atomic_file
from recsys.core.config import RunConfig, TrainConfig
from recsys.core.errors import RecsysError, UsageError
from recsys.core.progress import QUIET, Progress
from recsys.fitting.fit import fit_phase, problem_of
from recsys.fitting.second_stage import choose_second_stage, cross_fitted_values
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase
from recsys.scores.additions import FittedTerms, blended_scaled, fit_terms
from recsys.scores.choice import choose_blend
from recsys.scores.most_popular import choose_popularity
from recsys.scores.trained_vectors import TrainedVectors
from recsys.train.batches import with_epochs
from recsys.train.checkpoint import EpochRecord
from recsys.train.forecast import Plan
from recsys.train.loop import forecast
from recsys.train.probe import Settings
from recsys.tune import study as trials
from recsys.tune.space import Space, value_at, with_values
from recsys.tune.values import described

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Budget:
    """How much a search may take in all, earlier processes on the same folder included. Raises
    UsageError.
    """

    trials: int
    minutes: float

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(
                f"--trials {self.trials}: the configuration as given is a trial", "Give at least 1"
            )
        if not self.minutes > 0:
            raise UsageError(
                f"--budget-minutes {self.minutes:g} leaves no time", "Give more than 0"
            )


@dataclass(frozen=True)
class Search:
    """A search on the phase "select"; `phase.config` is the configuration as given, `graph` the
    graph it makes.

    folder: for the study, checkpoints and NDCG per user of each complete trial.
    """

    phase: Phase
    graph: Graph
    space: Space
    folder: Path
    progress: Progress = QUIET

    def forecast(self, budget: Budget) -> Plan:
        """What a training of the configuration as given takes; said, and refused when not even an
        epoch fits.

        Raises UsageError then, and when nothing is held out for validation; MachineError when
        memory does not suffice.
        """
        config = self.phase.config
        if not len(self.phase.judge.held_out_users) or config.train.epochs == 0:
            raise UsageError(
                "there is no validation to choose by",
                "Set split.validation_share and train.epochs above 0",
            )
        problem = problem_of(self.phase, self.graph, config.model)
        plan = forecast(problem, config.train, config.threads)
        seconds = plan.seconds or 0.0
        if seconds > 60 * budget.minutes:
            raise UsageError(
                f"an epoch is forecast to take {seconds / 60:.1f} minutes, and the budget is {budget.minutes:g}",
                "Raise --budget-minutes, or search a smaller model",
            )
        epochs = self._epochs(config)
        most = seconds * epochs
        self.progress.say(
            f"{plan.sentence()}: {_duration(most)} of steps in a trial of all {epochs} epochs, "
            f"{_duration(most * budget.trials)} in {budget.trials} of them; validation comes on top, early stopping and "
            f"pruning take away, and the search ends after {_duration(60 * budget.minutes)}",
            seconds_a_trial=most,
            **plan.facts(),
        )
        return plan

    def run(self, study: Study, budget: Budget) -> str:
        """Try until the budget is used; returns what ended the search, "trials" or "minutes".
        Raises as `forecast` does.
        """
        if self._reason_to_stop(study, budget) is None:
            self.forecast(budget)
            if earlier := len(trials.finished(study)):
                self.progress.say(
                    f"going on after {earlier} of {budget.trials} trials", finished=earlier
                )
        while (stopped := self._reason_to_stop(study, budget)) is None:
            self._try(study, budget)
        return stopped

    def users(self, number: int) -> Float64Array:
        """(held_out_users,) NDCG of a complete trial."""
        per_user: Float64Array = np.load(self._users_file(number))
        return per_user

    def _epochs(self, config: RunConfig) -> int:
        """Of a training that nothing ends sooner."""
        pairs = self.graph.relations[self.graph.target].num_edges
        return with_epochs(config.train, pairs).most_epochs

    def _reason_to_stop(self, study: Study, budget: Budget) -> str | None:
        if len(trials.finished(study)) >= budget.trials:
            return "trials"
        durations = [trial.user_attrs[trials.SECONDS] for trial in trials.complete(study)]
        usual_seconds = median(durations) if durations else 0.0
        seconds_left = 60 * budget.minutes - trials.spent_seconds(study)
        return "minutes" if seconds_left <= usual_seconds else None

    def _try(self, study: Study, budget: Budget) -> None:
        """One trial, told to the study whatever becomes of it; what kills the process leaves it to
        be tried again.
        """
        config = self.phase.config
        given_values = {key: value_at(config, key) for key in self.space}
        minutes_left = budget.minutes - trials.spent_seconds(study) / 60
        trial = trials.ask(study, self.space, given_values, config.seed, config.tune.startup)
        values = {**given_values, **trials.chosen(trial, self.space)}
        trial.set_user_attr(trials.VALUES, values)
        name = f"trial {len(trials.finished(study)) + 1} of {budget.trials}"
        as_given = trials.GIVEN in trial.user_attrs
        what = "the configuration as given, " if as_given else ""
        self.progress.say(f"{name}: {what}{described(values)}", **values)
        watch = _watching(trial, name, self.progress)
        minutes = minutes_left + _minutes_before(study, trial)
        try:
            value = self._judged(trial, {} if as_given else values, minutes, watch)
            study.tell(trial, value)
        except TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except RecsysError as error:
            trial.set_user_attr(trials.REASON, str(error))
            study.tell(trial, state=TrialState.FAIL)
            if as_given:
                raise
        shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        self._say(study, name, budget)

    def _judged(
        self,
        trial: Trial,
        values: Mapping[str, Any],
        minutes: float,
        watch: Callable[[EpochRecord], None],
    ) -> float:
        """NDCG of a training with `values`, histories included; per user it is left in the folder."""
        began = time.perf_counter()
        config = with_values(self.phase.config, values)
        phase = replace(self.phase, config=_within(config, minutes))
        graph = self.graph if config.graph == self.phase.config.graph else phase.graph
        trial.set_user_attr(trials.EPOCHS, self._epochs(config))
        trained = fit_phase(
            phase,
            graph,
            config.model,
            self.folder / "checkpoint",
            progress=_Bars(self.progress),
            watch=watch,
            settings=_settled(trial.study, config.train),
        )
        if trials.SETTLED not in trial.study.user_attrs:
            trial.study.set_user_attr(trials.SETTLED, trained.settings.document())
        vectors = TrainedVectors(phase.interactions, trained.embeddings, graph)
        users = self._ndcg_of_users(phase, vectors)
        with atomic_file(self._users_file(trial.number)) as file:
            np.save(file, users)
        facts = {
            "epochs": len(trained.history),
            "best_epoch": trained.best_epoch,
            "stopped": trained.stopped,
        }
        trial.set_user_attr(trials.FACTS, facts)
        trial.set_user_attr(trials.SECONDS, time.perf_counter() - began)
        return float(users.mean())

    def _ndcg_of_users(self, phase: Phase, vectors: TrainedVectors) -> Float64Array:
        """As the model would be served: with what histories do at their best for these vectors, and
        the second stage where one is configured and pays, by trees that were fitted on others.
        """
        shared = self._shared_terms(phase.config)
        blend = choose_blend(phase, vectors, terms=shared).blend
        scorer = blended_scaled(phase, vectors, blend, terms=shared)
        if phase.config.rank.model == "none":
            return phase.judge.per_user(scorer)
        choice = choose_second_stage(phase, scorer, self._half_life_days)
        return cross_fitted_values(phase, scorer, self._half_life_days, choice)

    @cached_property
    def _half_life_days(self) -> float | None:
        """Of what users without a history get, which no trial changes."""
        return choose_popularity(self.phase).half_life_days

    def _shared_terms(self, config: RunConfig) -> FittedTerms | None:
        """The terms of the configuration as given, where all that they depend on is as given."""
        as_given = self.phase.config
        same_scores = config.blend == as_given.blend and config.graph == as_given.graph
        return self._terms if same_scores and config.seed == as_given.seed else None

    @cached_property
    def _terms(self) -> FittedTerms:
        return fit_terms(self.phase, None, _Bars(self.progress))

    def _say(self, study: Study, name: str, budget: Budget) -> None:
        last = trials.finished(study)[-1]
        best_so_far = ""
        complete = trials.complete(study)
        if complete:
            best_so_far = f"; best {trials.best(complete).value:.4f}"
        outcome = f"failed: {last.user_attrs.get(trials.REASON)}"
        if last.state == TrialState.COMPLETE:
            outcome = f"{last.value:.4f}"
        elif last.state == TrialState.PRUNED:
            outcome = "pruned"
        seconds = last.user_attrs.get(trials.SECONDS, 0.0)
        self.progress.say(
            f"{name}: {outcome} in {_duration(seconds)}{best_so_far}{self._pace(study, budget)}",
            trial=last.number,
            state=last.state.name.lower(),
            value=last.value,
            seconds=seconds,
        )

    def _pace(self, study: Study, budget: Budget) -> str:
        """After the first trial, what the others will take."""
        others = budget.trials - 1
        if len(trials.finished(study)) > 1 or not others:
            return ""
        seconds = others * trials.spent_seconds(study)
        return f"; at this pace {_duration(seconds)} for the other {others}"

    def _users_file(self, number: int) -> Path:
        return self.folder / f"users-{number}.npy"


def _settled(study: Study, config: TrainConfig) -> Settings | None:
    """What the first trial settled by a probe, where `config` leaves it open; None for that one."""
    document = study.user_attrs.get(trials.SETTLED)
    return None if document is None else Settings(**document).kept_by(config)


class _Bars:
    """The bars of a training without its lines."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def say(self, message: str, **fields: object) -> None:
        pass

    def track(self, things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        return self._progress.track(things, label, total)


def _watching(trial: Trial, name: str, progress: Progress) -> Callable[[EpochRecord], None]:
    """Reports every epoch to the study, which may prune the trial; now and then also to people."""
    began = said = time.perf_counter()

    def watch(record: EpochRecord) -> None:
        nonlocal said
        now = time.perf_counter()
        trial.set_user_attr(trials.SECONDS, now - began)
        if record.value is None:
            return
        if now - said > _SECONDS_BETWEEN_LINES:
            said = now
            progress.say(
                f"{name}: {record.value:.4f} after epoch {record.epoch}", epoch=record.epoch
            )
        trial.report(record.value, record.epoch)
        if trial.should_prune():
            raise TrialPruned

    return watch


def _within(config: RunConfig, minutes: float) -> RunConfig:
    """The configuration with its training ended by the budget."""
    limit = min(minutes, config.train.max_minutes or minutes)
    train = config.train.model_copy(update={"max_minutes": limit})
    return config.model_copy(update={"train": train})


def _minutes_before(study: Study, trial: Trial) -> float:
    """What an interrupted trial took before this one goes on with it: the training counts it again."""
    interrupted = trial.user_attrs.get(trials.CONTINUES)
    if interrupted is None:
        return 0.0
    seconds = study.trials[interrupted].user_attrs.get(trials.SECONDS, 0.0)
    return float(seconds) / 60


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"

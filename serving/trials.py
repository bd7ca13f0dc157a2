"""The experiment of the run that is served: who gets which bundle, and what is written down of it.

What an answer was is written by the service, to RUN/experiments/ID.answers.jsonl, before the answer is
sent: the report takes arm, bundle, items and propensity from there, and an id that a client makes up
counts for nothing. All workers append to the one file, and a restart changes nothing. (A signed id that
says the same by itself would have to carry every item that it vouches for, and a secret that all workers
share.) It is not synced to the disk for every answer, which would take longer than the answer does:
`kill -9` loses none, a power cut may lose the last seconds.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NotRequired, TypedDict, cast

import orjson

from recsys.core.artefacts import RunFolder, no_pause
from recsys.core.errors import DataError, MachineError, RecsysError
from recsys.experiments.assignment import arm_of
from recsys.experiments.definition import Experiment, answers_of, latest
from recsys.experiments.exploration import drawn_order, is_drawn
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from serving.documents import Answer
from serving.forgotten import Forgotten
from serving.logs import LOG
from serving.row_log import RowLog
from serving.state import Served, State, load

MOST_BYTES = 8 << 30
"""Of one experiment's answers; later ones are not written down any more."""

_ID_BYTES = (
    9  # 12 letters: among a thousand million answers two are the same once in ten thousand times
)
_PLAIN = ListOptions()


class AnswerRow(TypedDict):
    """One line: an answer that was given in an experiment.

    items: in the order that they were given. fallback: the live bundle in place of the arm's.
    drawn: of the share that explores. pool: what a drawn list was drawn from. propensity: of each item
    at its place. options: as JSON, where they are not the defaults.
    """

    answer: str
    user_id: str
    timestamp: int
    arm: str
    bundle: str
    items: list[str]
    fallback: NotRequired[bool]
    drawn: NotRequired[bool]
    pool: NotRequired[list[str]]
    propensity: NotRequired[float]
    options: NotRequired[str]


class AnswerLog(RowLog[AnswerRow]):
    """Of one experiment."""

    things: ClassVar[str] = "answers of the experiment"


@dataclass(frozen=True)
class Trial:
    """One experiment under way. served: by arm; None where its bundle cannot be used. refused: why."""

    experiment: Experiment
    served: tuple[Served | None, ...]
    refused: dict[str, RecsysError]
    log: AnswerLog

    def arm_of(self, query: Query) -> int | None:
        """Number of the arm; None for a visitor without an id, and for users in no arm."""
        if query.user is None:
            return None
        return arm_of(str(query.user), self.experiment.id, self.experiment.shares)

    def is_drawn(self, name: str, query: Query, options: ListOptions) -> bool:
        """Whether an answer explores: some of the first pages of lists that depend on what is known of
        a user alone, so that what another bundle would have given can be told later.
        """
        is_of_user = not (query.history or query.attributes or query.friends)
        is_first_page = not options.offset and options.k <= self.experiment.pool
        is_plain = not (options.diversity or options.explain or options.allow or options.deny)
        if not (is_of_user and is_first_page and is_plain):
            return False
        return is_drawn(name, self.experiment.id, self.experiment.explore)


class Part(NamedTuple):
    """What a list is in an experiment. arm: number. is_drawn: of the share that explores."""

    trial: Trial
    arm: int
    is_drawn: bool

    @property
    def is_holdout(self) -> bool:
        return self.trial.experiment.arms[self.arm].bundle is None

    @property
    def draws(self) -> bool:
        """Whether an order is drawn. What is popular stays as it is: its answers are marked alone, so
        that all arms leave out the same share.
        """
        return self.is_drawn and not self.is_holdout


class Plan(NamedTuple):
    """How one list is made.

    name: id of the answer. query: with what the arm changes of it.
    options: what lookup is asked for, a longer list where it is to be drawn.
    wanted: what the client asked for. part: None outside experiments.
    """

    name: str
    served: Served
    query: Query
    options: ListOptions
    wanted: ListOptions
    part: Part | None = None


class Finished(NamedTuple):
    """row: None for a list that no experiment counts."""

    answer: Answer
    row: AnswerRow | None


class Trials:
    """Follows the experiments of a run. run: None for a service that has none."""

    def __init__(self, run: Path | None, state: State, forgotten: Forgotten) -> None:
        self._folder = None if run is None else RunFolder(run)
        self._state = state
        self._forgotten = forgotten
        self._following = threading.Lock()
        self._tried: Experiment | None = None
        self.running: Trial | None = None
        self._unwritten = self._unread = ""
        self.follow(at_start=True)

    @property
    def note(self) -> str:
        """What an operator should know; empty where all is well."""
        notes = []
        if self._unread:
            notes.append("the newest experiment cannot be read: the service's log says why")
        if self.running is not None:
            for arm in self.running.refused:
                notes.append(f"the live bundle answers for arm {arm!r}: the service's log says why")
        if self._unwritten:
            notes.append("answers cannot be written down, and do not count")
        return "; ".join(notes)

    def follow(self, at_start: bool = False) -> None:
        """Look at the run's newest experiment. All its bundles are loaded before it begins, so that no
        arm begins before another.
        """
        if self._folder is None:
            return
        with self._following:
            try:
                experiment = latest(self._folder)
            except DataError as error:
                if str(error) != self._unread:
                    LOG.error("%s", error)
                self._unread = str(error)
                return
            self._unread = ""
            # Also where its bundles could not be loaded: that is tried once, not at every look.
            if experiment == self._tried:
                return
            self._tried = experiment
            if experiment is None or not experiment.is_running:
                self.running = None
                return
            self.running = self._load(self._folder, experiment, at_start)
            LOG.warning("experiment %s is under way", experiment.id)

    def plan(self, live: Served, query: Query, options: ListOptions) -> Plan:
        """How a list is made, by the arm of whoever asks."""
        trial = self.running
        arm = None if trial is None else trial.arm_of(query)
        if trial is None or arm is None or self._forgotten.holds(str(query.user)):
            return outside_experiments(live, query, options)
        # Named before it is made: whether and how it is drawn depends on the name.
        name = new_name()
        assignment = Part(trial, arm, trial.is_drawn(name, query, options))
        wanted = options
        if assignment.draws:
            options = options.model_copy(update={"k": trial.experiment.pool})
        if assignment.is_holdout:
            query = replace(query, popular=True)
        return Plan(name, trial.served[arm] or live, query, options, wanted, assignment)

    def served_of(self, live: Served, query: Query) -> Served:
        """The bundle that answers somebody."""
        return self.plan(live, query, _PLAIN).served

    def finish(self, plan: Plan, answer: Answer, again: Callable[[Plan], Answer]) -> Finished:
        """A list as it is given: with its id, and drawn where it is to be; and its row, where it counts.

        again: makes the list that was asked for, where there are too few items to draw from.
        """
        assignment = plan.part
        pool = None
        if assignment is not None and assignment.draws:
            pool = [item["id"] for item in answer["items"]]
            if len(pool) == assignment.trial.experiment.pool:
                answer = _drawn(plan, answer, assignment.trial.experiment)
            else:
                pool = None
                answer = again(plan)
        answer["answer"] = plan.name
        if assignment is None or not answer["items"]:
            return Finished(answer, None)
        return Finished(answer, _row(plan, assignment, answer, pool))

    def write(self, plans: Iterable[Plan], finished: Iterable[Finished]) -> None:
        """Before the answers are sent. They are given all the same where they cannot be written down;
        they do not count then.
        """
        rows: dict[str, list[AnswerRow]] = {}
        logs: dict[str, AnswerLog] = {}
        for plan, outcome in zip(plans, finished, strict=True):
            if plan.part is not None and outcome.row is not None:
                trial = plan.part.trial
                logs[trial.experiment.id] = trial.log
                rows.setdefault(trial.experiment.id, []).append(outcome.row)
        for name, log in logs.items():
            self._append(log, rows[name])

    def _append(self, log: AnswerLog, rows: list[AnswerRow]) -> None:
        try:
            if log.path.exists() and log.path.stat().st_size > MOST_BYTES:
                self._tell("the answers of the experiment take all the room that they may")
                return
            log.append(rows, durable=False)
            self._unwritten = ""
        except MachineError as error:
            self._tell(error.message)

    def _tell(self, why: str) -> None:
        if why != self._unwritten:
            LOG.error("answers do not count: %s", why)
        self._unwritten = why

    def _load(self, folder: RunFolder, experiment: Experiment, at_start: bool) -> Trial:
        """Every bundle of its arms, each once; the holdout is answered by the control's."""
        step = no_pause if at_start else self._state.loading_pace()
        loaded: dict[str, Served] = {self._state.current.version: self._state.current}
        refused: dict[str, RecsysError] = {}
        served: list[Served | None] = []
        for arm in experiment.arms:
            name = arm.bundle or experiment.control.bundle
            try:
                served.append(_loaded(folder, str(name), loaded, step))
            except DataError as error:
                LOG.error("the live bundle answers for arm %s: %s", arm.name, error)
                refused[arm.name] = error
                served.append(None)
        log = AnswerLog(answers_of(folder, experiment))
        return Trial(experiment, tuple(served), refused, log)


def outside_experiments(served: Served, query: Query, options: ListOptions) -> Plan:
    """How a list is made that no experiment counts."""
    return Plan(new_name(), served, query, options, options)


def new_name() -> str:
    """An id of an answer."""
    return secrets.token_urlsafe(_ID_BYTES)


def _loaded(
    folder: RunFolder, name: str, loaded: dict[str, Served], between: Callable[[], None]
) -> Served:
    """Raises DataError for a bundle that is damaged, or gone."""
    if name not in loaded:
        path = folder.bundles / name
        if not path.is_dir():
            raise DataError(f"the run has no bundle {name!r} any more", "Stop the experiment")
        loaded[name] = load(path, between)
    return loaded[name]


def _drawn(plan: Plan, answer: Answer, experiment: Experiment) -> Answer:
    """The first of a list, in an order that is drawn by the answer's id."""
    pool = answer["items"]
    order = drawn_order(plan.name, experiment.id, len(pool))
    items: list[Any] = []
    for rank, position in enumerate(order[: plan.wanted.k].tolist(), start=1):
        items.append({**pool[position], "rank": rank})
    return cast(Answer, {**answer, "items": items})


def _row(plan: Plan, assignment: Part, answer: Answer, pool: list[str] | None) -> AnswerRow:
    """What is written down of an answer."""
    row: AnswerRow = {
        "answer": plan.name,
        "user_id": str(plan.query.user),
        "timestamp": int(time.time()),
        "arm": assignment.trial.experiment.arms[assignment.arm].name,
        "bundle": plan.served.version,
        "items": [item["id"] for item in answer["items"]],
    }
    if assignment.trial.served[assignment.arm] is None:
        row["fallback"] = True
    if assignment.is_drawn:
        row["drawn"] = True
    if pool is not None:
        # Every order is as likely, so that each item of the pool has the same chance of any place.
        row["pool"] = pool
        row["propensity"] = 1 / len(pool)
        options = plan.wanted.model_dump(exclude_defaults=True, mode="json")
        row["options"] = orjson.dumps(options).decode()
    return row

"""The training loop: one for full-graph and neighbour-sampled steps, on any device."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from recsys.core.arrays import Int64Array
from recsys.core.config import TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import MachineError
from recsys.core.history import user_histories
from recsys.core.interactions import Interactions
from recsys.core.machine import peak_memory_bytes
from recsys.core.progress import QUIET, Progress
from recsys.model.network import Network
from recsys.train import checkpoint
from recsys.train.batches import pair_moments, with_epochs
from recsys.train.checkpoint import EpochRecord, TrainingState
from recsys.train.factors import factor_states
from recsys.train.families import embedded, stepper_of
from recsys.train.forecast import Plan, plan_training, refuse_too_slow
from recsys.train.probe import Settings
from recsys.train.problem import Problem, first_network
from recsys.train.ranks import ALONE, Ranks
from recsys.train.short_trainings import ShortTrainings, Validate
from recsys.train.stepper import Stepper
from recsys.train.warm_start import states_of

Watch = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class Trained:
    """What training hands on.

    network: with the chosen weights.
    embeddings: vectors of all users and items, and what encodes a user anew.
    history: one record an epoch.
    best_epoch, best_value: of validation; the last epoch and None without it.
    seconds: of the steps, earlier runs of a resumed training included.
    peak_bytes: largest memory of the process so far.
    stopped: "epochs", "patience" or "max_minutes".
    plan: what was forecast.
    settings: what the configuration left open, as it was settled.
    """

    network: Network
    embeddings: Embeddings
    history: list[EpochRecord]
    best_epoch: int
    best_value: float | None
    seconds: float
    peak_bytes: int
    stopped: str
    plan: Plan
    settings: Settings


def train(
    problem: Problem,
    config: TrainConfig,
    folder: Path | None = None,
    validate: Validate | None = None,
    epochs: int | None = None,
    threads: int | None = None,
    progress: Progress = QUIET,
    watch: Watch | None = None,
    settings: Settings | None = None,
    ranks: Ranks = ALONE,
) -> Trained:
    """Train a network on one phase.

    Args:
        problem: what it learns from, and where it starts.
        config: how the training goes.
        folder: where checkpoints go; a checkpoint of the very same training there is continued.
        validate: embeddings → values by user, of whose mean early stopping looks for the highest;
            the best epoch's weights are kept. Probes compare the users one by one.
        epochs: a fixed number instead, without validation (refits).
        threads: of torch; the same weights are promised for the same number, seed and device only.
        progress: told what happens.
        watch: told every epoch, those of a continued training first; what it raises ends the
            training.
        settings: what the configuration leaves open, as an earlier phase settled it; settled here by
            validation when absent.
        ranks: the processes that train together and call this alike; together they take the steps
            that one would take. The first writes and speaks.

    Raises:
        MachineError: before it starts when the forecast does not fit, or when the loss stops being
            a number.
        DataError: there is no pair to learn from.
        ConfigError: train.loss is unknown, train.time_respecting without times, or what several
            processes cannot share.
    """
    progress = progress if ranks.leads else QUIET
    validate = validate if epochs is None else None
    with _threads(threads), torch.random.fork_rng(devices=[]):
        config = with_epochs(config, problem.positives.nnz)
        plan = plan_training(problem.graph, problem.model, config, choose_device(config, ranks))
        if settings is None:
            settings = _settled(problem, config, plan, validate, ranks, progress)
        config = settings.applied(config)
        identity = checkpoint.fingerprint(problem, _moments(problem, config), config, epochs, plan)
        state = _standing(folder, identity, config, ranks)

        stepper = _first_stepper(problem, config, plan, state, ranks, progress)
        plan = plan.timed(ranks.largest(stepper.seconds_a_step()))
        progress.say(plan.sentence(), **plan.facts())
        refuse_too_slow(plan, config)
        training = _Training(
            stepper=stepper,
            config=config,
            folder=folder,
            identity=identity,
            judge=partial(_judged, validate, stepper) if validate else None,
            last=config.most_epochs if epochs is None else epochs,
            watch=watch or _unwatched,
            state=state or TrainingState(problem.first_epoch),
        )
        stopped = training.run(progress)
        if folder and ranks.leads:
            states_of(stepper.network, problem.graph, problem.interactions).save(folder)
        return _trained(training, stopped, plan, settings)


def forecast(problem: Problem, config: TrainConfig, threads: int | None = None) -> Plan:
    """What `train` would take, from counts and a few timed steps. Raises MachineError when it does
    not fit.
    """
    with _threads(threads), torch.random.fork_rng(devices=[]):
        plan = plan_training(problem.graph, problem.model, config, choose_device(config))
        stepper = stepper_of(first_network(problem), problem, config, plan)
        return plan.timed(stepper.seconds_a_step())


def _settled(
    problem: Problem,
    config: TrainConfig,
    plan: Plan,
    validate: Validate | None,
    ranks: Ranks,
    progress: Progress,
) -> Settings:
    """What the configuration leaves open, chosen on validation where there is some."""
    if validate is None or problem.model.family != "history":
        return Settings.of(config)
    return ShortTrainings(problem, plan, validate, ranks).settle(config, progress)


def _standing(
    folder: Path | None, identity: str, config: TrainConfig, ranks: Ranks
) -> TrainingState | None:
    """The checkpoint to go on from, the same for all processes."""
    state = None
    if folder:
        state = checkpoint.load(folder, identity, ranks, config.shard_tables)
    ranks.require_same(f"{identity} after epoch {state.epoch if state else 0}")
    return state


def _first_stepper(
    problem: Problem,
    config: TrainConfig,
    plan: Plan,
    state: TrainingState | None,
    ranks: Ranks,
    progress: Progress,
) -> Stepper:
    """Before its first step; a network that a checkpoint overwrites needs no factors."""
    factors = None
    if config.factor_epochs and problem.start is None and state is None:
        factors = factor_states(problem, config, plan.device, progress)
    return stepper_of(first_network(problem, factors), problem, config, plan, ranks)


def _moments(problem: Problem, config: TrainConfig) -> Int64Array | None:
    """When things came about, where training reads that: each pair, or each row of the histories."""
    if problem.model.family == "history":
        return _rows_in_order(problem.interactions) if problem.model.reads_order else None
    if config.time_respecting:
        return pair_moments(problem.interactions, problem.target)
    return None


def _rows_in_order(interactions: Interactions) -> Int64Array | None:
    """(4, rows) users, behaviours, items and times of a log with an order."""
    histories = user_histories(interactions)
    if histories.time is None:
        return None
    rows = (histories.user, histories.behavior, histories.item, histories.time)
    return np.stack(rows).astype(np.int64)


def choose_device(config: TrainConfig, ranks: Ranks = ALONE) -> torch.device:
    """The device of a configuration: of several processes on one machine each has a GPU of its own.

    Raises MachineError when it is not there, or cannot compute in bf16.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise MachineError(
            f"train.device = {config.device!r}, and torch sees no GPU",
            "Set train.device to auto or cpu",
        )
    if config.precision == "bf16" and name == "cpu":
        raise MachineError("train.precision = 'bf16' needs a GPU", "Set train.precision to float32")
    if name == "cuda" and ranks.size > 1:
        name = f"cuda:{ranks.local_rank % torch.cuda.device_count()}"
    return torch.device(name)


@dataclass
class _Training:
    """Epochs, validations and checkpoints, from where `state` is up to epoch `last`."""

    stepper: Stepper
    config: TrainConfig
    folder: Path | None
    identity: str
    judge: Callable[[], float] | None
    last: int
    watch: Watch
    state: TrainingState

    def run(self, progress: Progress) -> str:
        """Train until there is a reason to stop, which is returned; the network then has the best
        weights.
        """
        if self.state.parameters:
            self.stepper.restore(self.state)
            progress.say(f"continuing after epoch {self.state.epoch}", epoch=self.state.epoch)
        for record in self.state.history:
            self.watch(record)
        while (stopped := self._reason_to_stop()) is None:
            self._epoch(progress)
            self.watch(self.state.history[-1])
            if self.state.epoch % self.config.checkpoint_every == 0 or self._reason_to_stop():
                self._save()
        self.stepper.settle(self.state.best)
        return stopped

    def _epoch(self, progress: Progress) -> None:
        began = time.perf_counter()
        loss = self.stepper.epoch(self.state.epoch, progress)
        seconds = self.stepper.ranks.largest(time.perf_counter() - began)
        epoch = self.state.epoch + 1
        due = epoch % self.config.validate_every == 0 or epoch == self.last
        with self.stepper.averaged():
            value = self.judge() if self.judge and due else None
            self._note(EpochRecord(epoch, loss, seconds, value))
        _report(progress, self.state, self.last)

    def _note(self, record: EpochRecord) -> None:
        state = self.state
        state.epoch = record.epoch
        state.history.append(record)
        if record.value is None:
            return
        if state.best_value is None or record.value > state.best_value:
            state.best_value = record.value
            state.best_epoch = record.epoch
            weights = self.stepper.network.state_dict()
            state.best = {name: tensor.clone() for name, tensor in weights.items()}

    def _reason_to_stop(self) -> str | None:
        state = self.state
        if state.epoch >= self.last:
            return "epochs"
        later = [record for record in state.history if record.epoch > state.best_epoch]
        validations = [record for record in later if record.value is not None]
        if self.judge and len(validations) >= self.config.patience:
            return "patience"
        limit = self.config.max_minutes
        seconds = sum(record.seconds for record in state.history)
        if limit is not None and seconds > 60 * limit:
            return "max_minutes"
        return None

    def _save(self) -> None:
        if self.folder:
            stepper = self.stepper
            stepper.store(self.state)
            checkpoint.save(
                self.folder, self.state, self.identity, stepper.ranks, stepper.divided()
            )


def _judged(validate: Validate, stepper: Stepper) -> float:
    return float(np.mean(validate(embedded(stepper))))


def _unwatched(record: EpochRecord) -> None:
    pass


def _trained(training: _Training, stopped: str, plan: Plan, settings: Settings) -> Trained:
    state = training.state
    return Trained(
        network=training.stepper.network,
        embeddings=embedded(training.stepper),
        history=state.history,
        best_epoch=state.best_epoch or state.epoch,
        best_value=state.best_value,
        seconds=sum(record.seconds for record in state.history),
        peak_bytes=peak_memory_bytes(),
        stopped=stopped,
        plan=plan,
        settings=settings,
    )


def _report(progress: Progress, state: TrainingState, last: int) -> None:
    record = state.history[-1]
    value = ""
    if record.value is not None:
        value = f", validation {record.value:.4f} (best {state.best_value:.4f})"
    progress.say(
        f"epoch {record.epoch}/{last}: loss {record.loss:.4f}{value}, {record.seconds:.1f} s",
        epoch=record.epoch,
        loss=record.loss,
        value=record.value,
        seconds=record.seconds,
    )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Torch's number of threads while the block runs; when None one less than it has, for another
    thread draws the batches meanwhile.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)

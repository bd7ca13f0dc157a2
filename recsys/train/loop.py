"""The training loop: one for full-graph and neighbour-sampled steps, on any device."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.closed_form.spectral import start_states
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import DataError, MachineError
from recsys.core.interactions import Interactions
from recsys.core.machine import peak_memory_bytes
from recsys.core.progress import QUIET, Progress
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import ITEM, USER, Graph, NodeType, full_block
from recsys.model.network import Network
from recsys.train import checkpoint
from recsys.train.batches import Batch, Batches
from recsys.train.checkpoint import EpochRecord, Standing
from recsys.train.embed import embed
from recsys.train.forecast import Plan, plan_training, refuse_too_slow
from recsys.train.objective import loss_and_gradient
from recsys.train.warm_start import load_shared, save_states

Start = dict[NodeType, NDArray[np.float32]]
Validate = Callable[[Embeddings], float]


@dataclass(frozen=True)
class Trained:
    """What training hands on.

    network: with the chosen weights. history: one record an epoch. best_epoch, best_value: of validation; the last
    epoch and None without it. seconds: training and validation, earlier runs of a resumed training included.
    stopped: "epochs", "patience" or "max_minutes".
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


def train(
    interactions: Interactions,
    graph: Graph,
    model: ModelConfig,
    train: TrainConfig,
    seed: int = 0,
    folder: Path | None = None,
    validate: Validate | None = None,
    epochs: int | None = None,
    start: Start | None = None,
    shared: Start | None = None,
    threads: int | None = None,
    progress: Progress = QUIET,
    graph_config: GraphConfig | None = None,
) -> Trained:
    """Train a network on one phase.

    folder: where checkpoints go; a checkpoint of the very same training there is continued.
    validate: embeddings → the value that early stopping looks at, higher is better; the best epoch's weights are kept.
    epochs: a fixed number instead, without validation (refits). start: layer-0 states by node type instead of the
    configured ones; shared: other parameters by name (both as `warm_start.load_states` gives them).
    graph_config: what the graph was built with; the encoder weighs a visitor's events by it.
    threads: of torch; the same weights are promised for the same number, seed and device only.
    Raises MachineError before it starts when the forecast does not fit, or when the loss stops being a number;
    DataError when there is no pair to learn from.
    """
    device = choose_device(train)
    with _threads(threads), torch.random.fork_rng(devices=[]):
        plan = plan_training(graph, model, train, device)
        trainer = _Trainer(interactions, graph, model, train, seed, plan, device, start, shared or {}, graph_config)
        plan = trainer.time_a_step()
        progress.say(plan.sentence(), **plan.facts())
        refuse_too_slow(plan, train)
        identity = checkpoint.fingerprint(graph, model, train, seed, epochs, (start or {}) | (shared or {}))
        if trainer.resume(folder, identity):
            progress.say(f"continuing after epoch {trainer.standing.epoch}", epoch=trainer.standing.epoch)
        stopped = trainer.run(folder, identity, validate if epochs is None else None, epochs, progress)
        if folder:
            save_states(folder, trainer.best_network(), graph, interactions)
        return trainer.finished(stopped)


def choose_device(config: TrainConfig) -> torch.device:
    """The device of a configuration. Raises MachineError when it is not there, or cannot compute in bf16."""
    wanted = config.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise MachineError(
            f"train.device = {config.device!r}, and torch sees no GPU", "Set train.device to auto or cpu"
        )
    if config.precision == "bf16" and wanted == "cpu":
        raise MachineError("train.precision = 'bf16' needs a GPU", "Set train.precision to float32")
    return torch.device(wanted)


class _Trainer:
    """A network, its optimiser and how far they have come."""

    def __init__(
        self,
        interactions: Interactions,
        graph: Graph,
        model: ModelConfig,
        config: TrainConfig,
        seed: int,
        plan: Plan,
        device: torch.device,
        start: Start | None,
        shared: Start,
        graph_config: GraphConfig | None,
    ) -> None:
        target = graph.target[1]
        positives = interactions.matrix((target,))
        if not positives.nnz:
            raise DataError(f"no pair of the target behaviour {target!r} to learn from", "Check the split")
        self.interactions = interactions
        self.graph = graph
        self.graph_config = graph_config
        self.config = config
        self.plan = plan
        self.device = device
        self.standing = Standing()
        network = Network(graph.num_nodes, list(graph.relations), graph.target, model, seed)
        network.load_start(start if start is not None else _first_states(interactions, target, model, seed))
        load_shared(network, shared)
        self.network = network.to(device)
        self.optimiser = _optimiser(self.network, config)
        sampler = BlockSampler(graph, config.fanouts, model.layers) if plan.mode == "sampled" else None
        self.batches = Batches(positives, config, seed, sampler)
        self.block = None if sampler else full_block(graph.to(device))

    def time_a_step(self) -> Plan:
        """The plan with the time of an epoch, from the second of two steps that change nothing."""
        self._prepare(0)
        for batch in itertools.islice(self.batches.epoch(0), 2):
            began = time.perf_counter()
            self._gradients(batch.to(self.device))
        self.plan = self.plan.timed(time.perf_counter() - began)
        return self.plan

    def resume(self, folder: Path | None, identity: str) -> bool:
        """Take up the checkpoint of `folder`, if it belongs to this training."""
        found = checkpoint.load(folder, identity) if folder else None
        if found is None:
            return False
        self.standing = found
        self.network.load_state_dict(found.parameters)
        checkpoint.restore_moments(self.optimiser, found.moments)
        return True

    def run(
        self,
        folder: Path | None,
        identity: str,
        validate: Validate | None,
        epochs: int | None,
        progress: Progress,
    ) -> str:
        """Epochs until a reason to stop, which is returned."""
        last = self.config.epochs if epochs is None else epochs
        while (stopped := self._reason_to_stop(last, validate)) is None:
            began = time.perf_counter()
            loss = self._epoch(progress)
            seconds = time.perf_counter() - began
            epoch = self.standing.epoch + 1
            due = epoch % self.config.validate_every == 0 or epoch == last
            value = self._validated(validate, epoch) if validate and due else None
            self.standing.epoch = epoch
            self.standing.history.append(EpochRecord(epoch, loss, seconds, value))
            _report(progress, self.standing, last)
            if folder and (epoch % self.config.checkpoint_every == 0 or self._reason_to_stop(last, validate)):
                self._save(folder, identity)
        return stopped

    def best_network(self) -> Network:
        """The network with the weights of the best validation; of the last epoch without validation."""
        if self.standing.best:
            self.network.load_state_dict(self.standing.best)
        return self.network

    def finished(self, stopped: str) -> Trained:
        standing = self.standing
        return Trained(
            network=self.best_network(),
            embeddings=self._embed(),
            history=standing.history,
            best_epoch=standing.best_epoch or standing.epoch,
            best_value=standing.best_value,
            seconds=sum(record.seconds for record in standing.history),
            peak_bytes=peak_memory_bytes(),
            stopped=stopped,
            plan=self.plan,
        )

    def _reason_to_stop(self, last: int, validate: Validate | None) -> str | None:
        standing = self.standing
        if standing.epoch >= last:
            return "epochs"
        since = sum(1 for one in standing.history if one.value is not None and one.epoch > standing.best_epoch)
        if validate and since >= self.config.patience:
            return "patience"
        limit = self.config.max_minutes
        if limit is not None and sum(one.seconds for one in standing.history) > 60 * limit:
            return "max_minutes"
        return None

    def _epoch(self, progress: Progress) -> float:
        """One pass over the pairs; mean loss. Batches are drawn here while another thread steps."""
        epoch = self.standing.epoch
        self._prepare(epoch)
        total = 0.0
        batches = progress.track(self.batches.epoch(epoch), f"epoch {epoch + 1}", self.batches.steps)
        with ThreadPoolExecutor(1) as stepper:
            running = None
            for batch in batches:
                total += running.result() if running else 0.0
                running = stepper.submit(self._step, batch)
            total += running.result() if running else 0.0
        # A state that is no number drops out of the unit-length vectors, so the loss alone would not tell.
        if not all(bool(parameter.isfinite().all()) for parameter in self.network.parameters()):
            raise self._diverged("a weight became infinite or no number")
        return total / self.batches.pairs

    def _diverged(self, what: str) -> MachineError:
        return MachineError(
            f"{what} in epoch {self.standing.epoch + 1}",
            "Lower train.lr or raise train.temperature; the last checkpoint is still good",
        )

    def _prepare(self, epoch: int) -> None:
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * learning_rate_factor(epoch, self.config)
        if self.plan.mode == "sampled":
            self.network.refresh_mass(self.graph)

    def _step(self, batch: Batch) -> float:
        """One optimiser step; the loss summed over the batch's pairs, as a number: nothing keeps the graph alive."""
        batch = batch.to(self.device)
        loss = self._gradients(batch)
        self._penalise(batch)
        self.optimiser.step()
        return loss * batch.pairs

    def _gradients(self, batch: Batch) -> float:
        """Mean loss of a batch; leaves its gradients, and no others, in the parameters."""
        torch.manual_seed(batch.key)
        vectors = self.network(self.block if batch.blocks is None else batch.blocks, batch.hidden)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16"):
            detached = {kind: vectors[kind].detach() for kind in (USER, ITEM)}
            loss, gradient = loss_and_gradient(detached, batch, self.config)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}")
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward([vectors[kind] for kind in gradient], list(gradient.values()))
        return loss

    def _penalise(self, batch: Batch) -> None:
        """Adds the gradient of l2 · mean over the pairs of ‖e_user‖² + ‖e_item‖² to that of the layer-0 tables."""
        if not self.config.l2:
            return
        for kind, ids in ((USER, batch.users), (ITEM, batch.items)):
            table = self.network.table(kind)
            if table.grad is not None:
                table.grad.index_add_(0, ids, table.detach()[ids], alpha=2 * self.config.l2 / batch.pairs)

    def _validated(self, validate: Validate, epoch: int) -> float:
        value = float(validate(self._embed()))
        if self.standing.best_value is None or value > self.standing.best_value:
            self.standing.best_value, self.standing.best_epoch = value, epoch
            self.standing.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return value

    def _embed(self) -> Embeddings:
        return embed(self.network, self.graph, self.interactions, self.graph_config, self.block)

    def _save(self, folder: Path, identity: str) -> None:
        self.standing.parameters = dict(self.network.state_dict())
        self.standing.moments = checkpoint.moments(self.optimiser)
        checkpoint.save(folder, self.standing, identity)


def learning_rate_factor(epoch: int, config: TrainConfig) -> float:
    """Share of the learning rate in an epoch (from 0): half a cosine over config.epochs down to a tenth.

    Refits of fewer epochs follow the same path as far as they go.
    """
    along = min(epoch / max(config.epochs, 1), 1.0)
    return 0.55 + 0.45 * math.cos(math.pi * along)


def _first_states(interactions: Interactions, target: str, model: ModelConfig, seed: int) -> Start:
    return start_states(interactions, target, model.width, seed) if model.start == "svd" else {}


def _optimiser(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam; tables and the few numbers shared by all nodes have learning rates of their own."""
    tables = [value for name, value in network.named_parameters() if name.startswith("tables.") or name == "visitor"]
    known = {id(value) for value in tables}
    shared = [value for value in network.parameters() if id(value) not in known and value.requires_grad]
    groups = [{"params": tables, "base_lr": config.lr}, {"params": shared, "base_lr": config.shared_lr}]
    return torch.optim.Adam(groups, lr=config.lr, fused=True)


def _report(progress: Progress, standing: Standing, last: int) -> None:
    record = standing.history[-1]
    value = "" if record.value is None else f", validation {record.value:.4f} (best {standing.best_value:.4f})"
    progress.say(
        f"epoch {record.epoch}/{last}: loss {record.loss:.4f}{value}, {record.seconds:.1f} s",
        epoch=record.epoch,
        loss=record.loss,
        value=record.value,
        seconds=record.seconds,
    )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Torch's number of threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

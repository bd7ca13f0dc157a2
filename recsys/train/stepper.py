"""A network, its optimiser, and the steps that turn one epoch's pairs into weights."""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from recsys.core.config import TrainConfig
from recsys.core.errors import DataError, MachineError
from recsys.core.progress import Progress
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.engine import draw_by
from recsys.graph.histories import HistoryBlocks
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import ITEM, USER, Block, full_block
from recsys.graph.temporal import TemporalSampler
from recsys.model.layer import States, table_name
from recsys.model.network import Network
from recsys.train import checkpoint
from recsys.train.average import WeightAverage
from recsys.train.batches import Batch, Batches, pair_moments, with_epochs
from recsys.train.checkpoint import WHOLE, Divided, TrainingState
from recsys.train.contrast import contrast
from recsys.train.edge_dropout import drop_edges
from recsys.train.forecast import Plan
from recsys.train.objective import loss_and_gradient
from recsys.train.problem import Problem
from recsys.train.ranks import ALONE, Ranks
from recsys.train.sharded_rows import ShardedRows, join_tables, shard_tables

_PROBED_STEPS, _PROBE_SECONDS = 6, 2.0
_LAST_SHARE = 0.1  # of the learning rate, at the end of its path


def _sampler(
    problem: Problem, config: TrainConfig
) -> BlockSampler | TemporalSampler | HistoryBlocks:
    graph = problem.graph
    model = problem.model
    if model.family == "history":
        return history_blocks_of(graph, problem.interactions, model, config.horizon or 1)
    if config.time_respecting:
        return TemporalSampler(graph, config.fanouts, model.layers)
    return BlockSampler(graph, config.fanouts, model.layers, draw_by(config.sampler, graph))


class Stepper:
    """Takes a network through epochs, in the way of a plan.

    Raises DataError when there is no pair of the target behaviour, ConfigError for
    train.time_respecting without times.
    """

    def __init__(
        self,
        network: Network,
        problem: Problem,
        config: TrainConfig,
        plan: Plan,
        ranks: Ranks = ALONE,
    ) -> None:
        positives = problem.positives
        if not positives.nnz:
            raise DataError(
                f"no pair of the target behaviour {problem.target!r} to learn from",
                "Check the split",
            )
        self.problem = problem
        self.config = config = with_epochs(config, positives.nnz)
        self.ranks = ranks
        self.network = network.to(plan.device)
        if config.shard_tables and ranks.size > 1:
            shard_tables(self.network, ranks)
        self.optimiser = _optimiser(self.network, config)
        self._shared = self._shared_parameters()
        self.average = WeightAverage(self.network, config.ema) if config.ema else None
        self.sampler = None if plan.mode == "full" else _sampler(problem, config)
        moments = None
        if config.time_respecting:
            moments = pair_moments(problem.interactions, problem.target)
        self.batches = Batches(positives, config, problem.seed, self.sampler, moments, ranks)
        self.graph = problem.graph.to(plan.device)
        self.block = None if self.sampler else full_block(self.graph)
        self._device = plan.device

    def _shared_parameters(self) -> list[nn.Parameter]:
        """Those whose gradients the processes add up; of rows with an owner it has the sum."""
        with_owner = self.divided().parameters
        shared = []
        for name, value in self.network.named_parameters():
            if value.requires_grad and name not in with_owner:
                shared.append(value)
        return shared

    def divided(self) -> Divided:
        """What of the weights and the optimiser's state lies in parts with the processes."""
        if not isinstance(self.network.rows, ShardedRows):
            return WHOLE
        names = {
            id(self.network.table(kind)): f"tables.{table_name(kind)}"
            for kind in self.network.learnt_types()
        }
        numbers = []
        values = [value for group in self.optimiser.param_groups for value in group["params"]]
        for number, value in enumerate(values):
            if id(value) in names:
                numbers.append(str(number))
        return Divided(frozenset(names.values()), frozenset(numbers))

    def seconds_a_step(self) -> float:
        """Time of a step on a machine that does nothing else, on average over the configured epochs:
        those before attention opens are faster.
        """
        prior = min(self.config.prior_epochs / max(self.config.most_epochs, 1), 1.0)
        seconds = 0.0
        if prior > 0:
            seconds += prior * self._probed(0)
        if prior < 1:
            seconds += (1 - prior) * self._probed(self.config.prior_epochs)
        return seconds

    def _probed(self, epoch: int) -> float:
        """Time of a step in an epoch: the median of a few that change nothing, after one that warms
        up.

        By processor time, which other programs do not lengthen: that of stepping is shared by the
        threads. Drawing goes on beside stepping, so the slower of the two counts.
        """
        self._prepare(epoch)
        drawing: list[float] = []
        stepping: list[float] = []
        clock = self._clock()
        threads = self._stepping_threads()
        began = clock()
        for batch in self._endless_batches():
            drawn = clock()
            self._gradients(batch.to(self._device), 0)
            self._wait()
            stepped = clock()
            drawing.append(drawn - began)
            stepping.append((stepped - drawn) / threads)
            # Steps may wait for other processes: all of them take as many.
            slow = self.ranks.largest(sum(stepping)) >= _PROBE_SECONDS
            if len(stepping) >= _PROBED_STEPS or (slow and len(stepping) >= 2):
                break
            began = clock()
        return max(statistics.median(drawing[1:]), statistics.median(stepping[1:]))

    def _endless_batches(self) -> Iterator[Batch]:
        """Those of the first epoch, and so on."""
        for epoch in itertools.count():
            yield from self.batches.epoch(epoch)

    def _clock(self) -> Callable[[], float]:
        """Of the processor; on a GPU of the wall, for most of the work is not the processor's."""
        return time.perf_counter if self._device.type == "cuda" else time.process_time

    def _stepping_threads(self) -> int:
        """That share the processor time of a step."""
        return 1 if self._device.type == "cuda" else torch.get_num_threads()

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def epoch(self, epoch: int, progress: Progress, steps: int | None = None) -> float:
        """One pass over the pairs (epochs from 0), or its first `steps`; mean loss. Batches are
        drawn here while another thread steps.

        Raises MachineError when the loss or a weight stops being a number.
        """
        self._prepare(epoch)
        total, pairs = 0.0, 0
        label = f"epoch {epoch + 1}"
        steps = steps or self.batches.steps
        drawn = itertools.islice(self.batches.epoch(epoch), steps)
        batches = progress.track(drawn, label, steps)
        with ThreadPoolExecutor(1) as stepper:
            running: Future[float] | None = None
            for number, batch in enumerate(batches):
                pairs += batch.pairs
                if running is not None:
                    total += running.result()
                self._set_learning_rate(epoch + number / self.batches.steps)
                running = stepper.submit(self.step, batch, epoch)
            if running is not None:
                total += running.result()
        # A state that is no number drops out of the unit-length vectors, so the loss alone would
        # not tell.
        for parameter in self.network.parameters():
            if not bool(parameter.isfinite().all()):
                raise _diverged("a weight became infinite or no number", epoch)
        return total / pairs

    def _prepare(self, epoch: int) -> None:
        self.network.train()
        self.network.open_attention(epoch >= self.config.prior_epochs)
        self._set_learning_rate(epoch)
        if self.block is None:
            self.network.refresh_mass(self.graph)

    def _set_learning_rate(self, position: float) -> None:
        """position: epochs done, a part of the present one included."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * learning_rate_factor(position, self.config)

    def step(self, batch: Batch, epoch: int) -> float:
        """One optimiser step; the loss summed over the batch's pairs, as a number: nothing keeps
        the graph alive.
        """
        batch = batch.to(self._device)
        loss = self._gradients(batch, epoch)
        loss = self.ranks.add_gradients(self._shared, loss)
        if not math.isfinite(loss):
            raise _diverged(f"the loss became {loss}", epoch)
        self._penalise(batch)
        self.optimiser.step()
        if self.average:
            self.average.add()
        return loss * batch.pairs

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that are judged: their moving average when there is
        one.
        """
        return self.average.applied() if self.average else nullcontext()

    def settle(self, best: Mapping[str, Tensor]) -> None:
        """Give the network its final weights: the best ones when there are any, else those of the
        last step.
        """
        final = best or (self.average.values if self.average else None)
        if final:
            self.network.load_state_dict(final)
        join_tables(self.network)

    def store(self, state: TrainingState) -> None:
        """Write into `state` what `restore` needs."""
        state.parameters = dict(self.network.state_dict())
        state.average = self.average.values if self.average else {}
        state.moments = checkpoint.moments(self.optimiser)
        state.parts = self.ranks.size if self.divided().parameters else 1

    def restore(self, state: TrainingState) -> None:
        """Go on after `state.epoch` epochs."""
        if state.parts == 1 and isinstance(self.network.rows, ShardedRows):
            self.divided().cut(state, self.network.rows.shard)
        self.network.load_state_dict(state.parameters)
        checkpoint.restore_moments(self.optimiser, state.moments)
        if self.average:
            self.average.restore(state.average, state.epoch * self.batches.steps)

    def _gradients(self, batch: Batch, epoch: int) -> float:
        """Mean loss of a batch, or what this process's pairs add to it; leaves its gradients, and no
        others, in the parameters.
        """
        torch.manual_seed(batch.key)
        blocks = drop_edges(self.block or batch.blocks or [], self.config.edge_dropout)
        vectors, contrast_loss = self._vectors(blocks, batch)
        in_bf16 = self.config.precision == "bf16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=in_bf16):
            detached = {kind: vectors[kind].detach() for kind in (USER, ITEM)}
            loss, gradient = loss_and_gradient(detached, batch, self.config)

        # From the gradient at the final vectors, and 1 at the contrast, back to the parameters.
        roots = [vectors[kind] for kind in gradient]
        slopes = list(gradient.values())
        if contrast_loss is not None:
            roots.append(contrast_loss)
            slopes.append(torch.ones_like(contrast_loss))
            loss += contrast_loss.item()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(roots, slopes)
        self._after_gradients()
        return loss

    def _after_gradients(self) -> None:
        """What else a step adds to the gradients of the parameters."""

    def _vectors(self, blocks: list[Block] | Block, batch: Batch) -> tuple[States, Tensor | None]:
        """Final vectors, and the weighted contrast between the first layer and them when there is
        one.
        """
        config = self.config
        if not config.contrast_weight:
            return self.network(blocks, batch.hidden), None
        layers = list(self.network.layer_states(blocks, batch.hidden, config.contrast_noise))
        last = blocks if isinstance(blocks, Block) else blocks[-1]
        vectors = self.network.average(layers, last)
        loss = contrast(layers[1], vectors, batch, config.contrast_temperature)
        return vectors, config.contrast_weight * loss

    def _penalise(self, batch: Batch) -> None:
        """Adds the gradient of l2 · mean over the pairs of ‖e_user‖² + ‖e_item‖² to that of the
        layer-0 tables.
        """
        if not self.config.l2:
            return
        for kind, ids in ((USER, batch.users), (ITEM, batch.items)):
            if kind not in self.network.learnt_types():
                continue
            table = self.network.table(kind)
            if table.grad is not None:
                # ∂/∂e of l2 ‖e‖² / pairs, as often as the node has a pair.
                factor = 2 * self.config.l2 / batch.pairs
                places = self.network.rows.held(ids)
                table.grad.index_add_(0, places, table.detach()[places], alpha=factor)


def learning_rate_factor(position: float, config: TrainConfig) -> float:
    """Share of the learning rate after some epochs and a part of one: half a cosine down to a tenth.

    Refits of fewer epochs follow the same path as far as they go.
    """
    progress = min(position / max(config.most_epochs, 1), 1.0)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return _LAST_SHARE + (1 - _LAST_SHARE) * cosine


def _diverged(what: str, epoch: int) -> MachineError:
    return MachineError(
        f"{what} in epoch {epoch + 1}",
        "Lower train.lr or raise train.temperature; the last checkpoint is still good",
    )


def _optimiser(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam; tables and the few numbers shared by all nodes have learning rates of their own."""
    tables, shared = [], []
    for name, value in network.named_parameters():
        if name.startswith("tables.") or name == "visitor":
            tables.append(value)
        elif value.requires_grad:
            shared.append(value)
    groups = [
        {"params": tables, "base_lr": config.lr},
        {"params": shared, "base_lr": config.shared_lr},
    ]
    return torch.optim.Adam(groups, lr=config.lr, fused=True)

"""Matrix factors as a place to start from: layer-0 states of users and items, trained by
themselves, without messages.
"""

import itertools
import time

import torch
from torch import Tensor, nn

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import DataError, MachineError
from recsys.core.progress import Progress
from recsys.graph.schema import ITEM, USER, NodeType
from recsys.model.scaling import unit_rows
from recsys.train.batches import Batch, Batches
from recsys.train.objective import loss_and_gradient
from recsys.train.problem import Problem, Start
from recsys.train.stepper import learning_rate_factor

_SMALL_STEPS = {
    "batch_size": 2048,
    "negatives": 1024,
    "user_dropout": 0.0,
    "neighbour_positives": 0,
}
"""Four small steps cost what one large step costs here, and are worth more: there is no graph to
pass through.
"""
_LEARNING_RATE, _DEVIATION = 3e-3, 0.1


def factor_states(
    problem: Problem, train: TrainConfig, device: torch.device, progress: Progress
) -> Start:
    """(n, width) states of "user" and "item" after `train.factor_epochs` passes over the target's
    pairs, on the CPU.

    Matrix factorisation under the loss, temperature and negatives of `train`, from normal draws of
    deviation 0.1 and in steps of 2,048 pairs; half a cosine of learning rate. Most of what a
    training learns needs no messages, and such a pass costs a fifth of one through the layers.
    Raises DataError when there is no pair, MachineError when a factor stops being a number.
    """
    pairs = problem.positives
    if not pairs.nnz:
        raise DataError(
            f"no pair of the target behaviour {problem.target!r} to learn from", "Check the split"
        )
    own_settings = {**_SMALL_STEPS, "epochs": train.factor_epochs, "lr": _LEARNING_RATE}
    config = train.model_copy(update=own_settings)
    counts = {USER: problem.interactions.num_users, ITEM: problem.interactions.num_items}
    factors = _Factors(counts, problem.model, config, problem.seed, device)
    batches = Batches(pairs, config, problem.seed, None)
    if config.most_epochs:
        seconds = factors.seconds_a_step(batches) * batches.steps * config.most_epochs
        progress.say(
            f"matrix factors first: {config.most_epochs} passes of {batches.steps} steps, about {seconds:.0f} s"
        )
    for epoch in progress.track(range(config.most_epochs), "matrix factors", config.most_epochs):
        factors.optimiser.param_groups[0]["lr"] = config.lr * learning_rate_factor(epoch, config)
        for batch in batches.epoch(epoch):
            factors.gradients(batch)
            factors.optimiser.step()
        factors.require_finite(epoch)
    return {kind: table.detach().cpu().numpy() for kind, table in factors.tables.items()}


class _Factors:
    """The two tables, their gradients and their optimiser. counts: rows by node type."""

    def __init__(
        self,
        counts: dict[NodeType, int],
        model: ModelConfig,
        config: TrainConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.tables: dict[NodeType, nn.Parameter] = {}
        for kind, count in counts.items():
            table = torch.randn(count, model.width, generator=draw) * _DEVIATION
            self.tables[kind] = nn.Parameter(table.to(device))
        self.optimiser = torch.optim.Adam(self.tables.values(), lr=config.lr, fused=True)
        self.config = config
        self.device = device
        self.cosine = model.similarity == "cosine"

    def gradients(self, batch: Batch) -> None:
        """Those of one step's loss, in place of the last ones."""
        vectors: dict[NodeType, Tensor] = dict(self.tables)
        if self.cosine:
            vectors = {kind: unit_rows(table) for kind, table in self.tables.items()}
        detached = {kind: vector.detach() for kind, vector in vectors.items()}
        _, gradient = loss_and_gradient(detached, batch.to(self.device), self.config)
        roots = [vectors[kind] for kind in gradient]
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(roots, list(gradient.values()))

    def require_finite(self, epoch: int) -> None:
        """Raises MachineError when a factor stopped being a number."""
        for table in self.tables.values():
            if not bool(table.isfinite().all()):
                raise MachineError(
                    f"a matrix factor became infinite or no number in pass {epoch + 1}",
                    "Raise train.temperature, or set train.factor_epochs = 0",
                )

    def seconds_a_step(self, batches: Batches) -> float:
        """From two steps that change nothing, after one that warms up."""
        taken = []
        for batch in itertools.islice(itertools.cycle(batches.epoch(0)), 3):
            began = time.perf_counter()
            self.gradients(batch)
            taken.append(time.perf_counter() - began)
        return min(taken[1:])

"""Matrix factors as a place to start from: layer-0 states of users and items, trained by themselves, without messages."""

import torch
from torch import nn

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import DataError
from recsys.core.interactions import Interactions
from recsys.core.progress import Progress
from recsys.graph.schema import ITEM, USER, NodeType
from recsys.model.attention import unit_rows
from recsys.train.batches import Batches
from recsys.train.objective import loss_and_gradient
from recsys.train.stepper import Start, learning_rate_factor

_SMALL_STEPS = {"batch_size": 2048, "negatives": 1024, "user_dropout": 0.0, "neighbour_positives": 0}
"""Four small steps cost what one large step costs here, and are worth more: there is no graph to pass through."""
_LEARNING_RATE, _DEVIATION = 3e-3, 0.1


def factor_states(
    interactions: Interactions,
    target: str,
    model: ModelConfig,
    train: TrainConfig,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> Start:
    """(n, width) states of "user" and "item" after `train.factor_epochs` passes over the pairs of `target`.

    Matrix factorisation under the loss, temperature and negatives of `train`, from normal draws of deviation 0.1 and in
    steps of 2,048 pairs; half a cosine of learning rate. Most of what a training learns needs no messages, and such a
    pass costs a fifth of one through the layers. Raises DataError when there is no pair.
    """
    pairs = interactions.matrix((target,))
    if not pairs.nnz:
        raise DataError(f"no pair of the target behaviour {target!r} to learn from", "Check the split")
    config = train.model_copy(update={**_SMALL_STEPS, "epochs": train.factor_epochs, "lr": _LEARNING_RATE})
    draw = torch.Generator().manual_seed(seed)
    tables: dict[NodeType, nn.Parameter] = {
        kind: nn.Parameter((torch.randn(count, model.width, generator=draw) * _DEVIATION).to(device))
        for kind, count in ((USER, interactions.num_users), (ITEM, interactions.num_items))
    }
    optimiser = torch.optim.Adam(tables.values(), lr=config.lr, fused=True)
    batches = Batches(pairs, config, seed, None)
    for epoch in progress.track(range(config.epochs), "matrix factors", config.epochs):
        optimiser.param_groups[0]["lr"] = config.lr * learning_rate_factor(epoch, config)
        for batch in batches.epoch(epoch):
            vectors = {kind: unit_rows(t) if model.similarity == "cosine" else t for kind, t in tables.items()}
            _, gradient = loss_and_gradient({k: v.detach() for k, v in vectors.items()}, batch.to(device), config)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward([vectors[kind] for kind in gradient], list(gradient.values()))
            optimiser.step()
    return {kind: table.detach().cpu().numpy() for kind, table in tables.items()}

"""Loss of a batch and its gradient at the final vectors, one group at a time: memory follows a
group, not the batch.
"""

import torch
from torch import Tensor

from recsys.core.config import TrainConfig
from recsys.graph.schema import ITEM, USER, NodeType
from recsys.train.batches import Batch
from recsys.train.candidates import CandidateGroup
from recsys.train.losses import loss_named

Vectors = dict[NodeType, Tensor]


def loss_and_gradient(vectors: Vectors, batch: Batch, config: TrainConfig) -> tuple[float, Vectors]:
    """Mean loss over the batch's pairs, and its gradient at the final vectors of users and items.

    vectors: (n, width) by node type, detached; rows as the batch numbers them.
    """
    gradient = {kind: torch.zeros_like(vectors[kind]) for kind in (USER, ITEM)}
    total = 0.0
    for group in batch.groups:
        share = group.pairs / batch.pairs
        total += share * _add_group(vectors, gradient, group, share, config)
    return total, gradient


def _add_group(
    vectors: Vectors, gradient: Vectors, group: CandidateGroup, share: float, config: TrainConfig
) -> float:
    """Add one group's gradient, times its `share` of the batch's pairs; returns its loss."""
    users = vectors[USER][group.users].requires_grad_()
    positives = vectors[ITEM][group.positives].requires_grad_()
    candidates = vectors[ITEM][group.candidates].requires_grad_()
    loss = loss_named(config.loss).function(users, positives, candidates, group, config)
    slopes = torch.autograd.grad(loss, [users, positives, candidates])
    gradient[USER].index_add_(0, group.users, slopes[0], alpha=share)
    gradient[ITEM].index_add_(0, group.positives, slopes[1], alpha=share)
    gradient[ITEM].index_add_(0, group.candidates, slopes[2], alpha=share)
    return loss.item()

"""Loss of a batch and its gradient at the final vectors, one group at a time: memory follows a
group, not the batch.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.core.config import TrainConfig
from recsys.graph.schema import ITEM, USER, NodeType
from recsys.model.loss import bpr
from recsys.train.batches import Batch, CandidateGroup


class SharedSoftmax(torch.autograd.Function):
    """Mean of −s⁺/τ⁺ + log( e^{s⁺/τ} + Σ_j e^{s_j/τ + bias_j} ), s the inner products.

    τ is the temperature and τ⁺ that of the positive side: the bilateral softmax loss of Wu et al.
    2024 (BSL), divided by its ratio τ⁺/τ and with the positive itself among the candidates, so that
    τ⁺ = τ is the plain softmax. Above τ, a pair already told apart with more than τ/τ⁺ of the mass
    is pulled no further, which forgives noisy positives. With config.hard_negatives only that many
    candidates j of the highest terms are in a pair's sum. The gradient is worked out in the forward
    pass, in the one (pairs, candidates) array of scores: a third of the memory traffic of autograd
    through logsumexp.
    """

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx,
        user: Float[Tensor, "pairs width"],
        positive: Float[Tensor, "pairs width"],
        candidates: Float[Tensor, "candidates width"],
        group: CandidateGroup,
        config: TrainConfig,
    ) -> Float[Tensor, ""]:
        temperature = config.temperature
        positive_temperature = temperature * config.positive_ratio
        # Under autocast the product is bf16; sums over thousands of candidates need float32.
        scores = torch.addmm(group.bias, user, candidates.T, alpha=1 / temperature).float()
        scores[group.known[0], group.known[1]] = -torch.inf
        if 0 < config.hard_negatives < scores.shape[1]:
            border = scores.topk(config.hard_negatives, sorted=False).values.amin(1, keepdim=True)
            scores.masked_fill_(scores < border, -torch.inf)
        agreement = (user * positive).sum(1)
        own = agreement / temperature + group.own_bias
        highest = torch.maximum(own, scores.amax(1)) if scores.shape[1] else own
        mass = scores.sub_(highest[:, None]).exp_()
        own_mass = (own - highest).exp()
        total = mass.sum(1) + own_mass
        loss = (
            torch.log(total) + highest - (agreement / positive_temperature + group.own_bias)
        ).mean()
        scale = 1 / (temperature * max(len(user), 1))
        mass.mul_((scale / total)[:, None])
        pull = ((own_mass / total - temperature / positive_temperature) * scale)[:, None]
        gradients = (mass @ candidates + pull * positive, pull * user, mass.T @ user)
        context.save_for_backward(*gradients)
        return loss

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        user, positive, candidates = context.saved_tensors  # type: ignore[attr-defined]
        return user * gradient, positive * gradient, candidates * gradient, None, None


def loss_and_gradient(
    vectors: dict[NodeType, Tensor], batch: Batch, config: TrainConfig
) -> tuple[float, dict[NodeType, Tensor]]:
    """Mean loss over the batch's pairs, and its gradient at the final vectors of users and items.

    vectors: (n, width) by node type, detached; rows as the batch numbers them.
    """
    gradient = {kind: torch.zeros_like(vectors[kind]) for kind in (USER, ITEM)}
    total = 0.0
    for group in batch.groups:
        weight = len(group.users) / batch.pairs
        total += weight * _add_group(vectors, gradient, group, weight, config)
    return total, gradient


def _add_group(
    vectors: dict[NodeType, Tensor],
    gradient: dict[NodeType, Tensor],
    group: CandidateGroup,
    weight: float,
    config: TrainConfig,
) -> float:
    """Adds one group's gradient, times its `weight`; returns its loss."""
    places = ((USER, group.users), (ITEM, group.positives), (ITEM, group.candidates))
    leaves = [vectors[kind][rows].requires_grad_() for kind, rows in places]
    loss = _group_loss(leaves[0], leaves[1], leaves[2], group, config)
    slopes = torch.autograd.grad(loss, leaves)
    for (kind, rows), slope in zip(places, slopes, strict=True):
        gradient[kind].index_add_(0, rows, slope, alpha=weight)
    return loss.item()


def _group_loss(
    user: Tensor, positive: Tensor, candidates: Tensor, group: CandidateGroup, config: TrainConfig
) -> Tensor:
    if config.loss == "bpr":
        known = torch.zeros(len(user), dtype=torch.bool, device=user.device)
        known[group.known[0]] = True
        return bpr(user, positive, candidates, known)
    loss: Tensor = SharedSoftmax.apply(user, positive, candidates, group, config)
    return loss

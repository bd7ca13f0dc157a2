"""The losses by name.

To add one, write a function like those here and name it in `LOSSES`: `train.loss` takes the name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import logsigmoid

from recsys.core.config import TrainConfig
from recsys.core.errors import ConfigError, nearest
from recsys.train.candidates import CandidateGroup

_ALIGNED = 16
"""Numbers of float32 in a cache line."""

LossFunction = Callable[[Tensor, Tensor, Tensor, CandidateGroup, TrainConfig], Tensor]
"""(users, positives, candidates, group, config) → mean over the pairs.

users, positives: (pairs, width) vectors. candidates: (candidates, width) vectors.
"""


@dataclass(frozen=True)
class Loss:
    """What a pair of user and item is judged by.

    function: the mean loss of a group of pairs.
    one_rival: whether candidate n is drawn for pair n alone; else all pairs of a group share their
        candidates.
    temperature: whether the loss reads train.temperature and train.positive_ratio, which a search
        of configurations then tries.
    """

    function: LossFunction
    one_rival: bool = False
    temperature: bool = False


def loss_named(name: str) -> Loss:
    """The loss of that name. Raises ConfigError naming close ones."""
    if name not in LOSSES:
        raise ConfigError(
            f"train.loss = {name!r} is no known loss",
            nearest(name, LOSSES) or f"Known: {', '.join(LOSSES)}",
        )
    return LOSSES[name]


def softmax(
    users: Float[Tensor, "pairs width"],
    positives: Float[Tensor, "pairs width"],
    candidates: Float[Tensor, "candidates width"],
    group: CandidateGroup,
    config: TrainConfig,
) -> Float[Tensor, ""]:
    """Sampled softmax with two temperatures: see `SharedSoftmax`."""
    loss: Tensor = SharedSoftmax.apply(users, positives, candidates, group, config)
    return loss


def bpr(
    users: Float[Tensor, "pairs width"],
    positives: Float[Tensor, "pairs width"],
    rivals: Float[Tensor, "pairs width"],
    group: CandidateGroup,
    config: TrainConfig,
) -> Float[Tensor, ""]:
    """Bayesian personalised ranking; pairs whose rival is a known positive do not count."""
    known = torch.zeros(len(users), dtype=torch.bool, device=users.device)
    known[group.known[0]] = True
    return pairwise_ranking(users, positives, rivals, known)


def pairwise_ranking(
    user: Float[Tensor, "pairs width"],
    positive: Float[Tensor, "pairs width"],
    negative: Float[Tensor, "pairs width"],
    known: Bool[Tensor, " pairs"],
) -> Float[Tensor, ""]:
    """Mean of −log σ(s⁺ − s⁻) (Rendle et al. 2009, BPR-Opt) over the pairs that are not `known`."""
    # s⁺ − s⁻ = ⟨u, i⁺ − i⁻⟩
    difference = (user * (positive - negative)).sum(-1)
    losses = -logsigmoid(difference)
    counted = (~known).sum().clamp_min(1)
    return losses.masked_fill(known, 0).sum() / counted


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
        context: FunctionCtx,
        user: Float[Tensor, "pairs width"],
        positive: Float[Tensor, "pairs width"],
        candidates: Float[Tensor, "candidates width"],
        group: CandidateGroup,
        config: TrainConfig,
    ) -> Float[Tensor, ""]:
        temperature = config.softmax_temperature
        positive_temperature = temperature * config.positive_ratio

        # s_j/τ + bias_j
        scores = _products(group.bias, user, candidates, 1 / temperature)
        scores[group.known[0], group.known[1]] = -torch.inf
        _keep_hardest(scores, config.hard_negatives)

        # s⁺/τ, and the highest term of each pair, which is taken off before exp.
        agreement = (user * positive).sum(1)
        own = agreement / temperature + group.own_bias
        highest = torch.maximum(own, scores.amax(1)) if scores.shape[1] else own

        # σ((s⁺ − β_u)/(τ τ_β)): what each pair counts, β_u being the score that the K-th best item has.
        weight = _top_k_weights(scores, own, group, config)

        # The terms of the sum: of each candidate, in the place of its score, and of the positive.
        terms = scores.sub_(highest[:, None]).exp_()
        own_term = (own - highest).exp()
        total = terms.sum(1) + own_term
        pull = agreement / positive_temperature + group.own_bias
        loss = (weight * (torch.log(total) + highest - pull)).mean()

        # ∂/∂s_j = p_j/τ and ∂/∂s⁺ = p⁺/τ − 1/τ⁺, over the number of pairs; p = term / total.
        scale = 1 / (temperature * max(len(user), 1))
        slope = terms.mul_((weight * scale / total)[:, None])
        own_slope = own_term / total - temperature / positive_temperature
        own_slope = (own_slope * weight * scale)[:, None]
        gradients = (slope @ candidates + own_slope * positive, own_slope * user, slope.T @ user)
        context.save_for_backward(*gradients)
        return loss

    @staticmethod
    def backward(context: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        user, positive, candidates = context.saved_tensors  # type: ignore[attr-defined]
        return user * gradient, positive * gradient, candidates * gradient, None, None


def _products(bias: Tensor, rows: Tensor, columns: Tensor, scale: float) -> Tensor:
    """(n, m) float32 scale · rows · columnsᵀ + bias: rows (n, width), columns (m, width), bias (m,)."""
    if torch.is_autocast_enabled(rows.device.type):
        # The product is bf16; sums over thousands of candidates need float32.
        return torch.addmm(bias, rows, columns.T, alpha=scale).float()
    # Rows that begin at odd places take the product twice as long (MKL): each gets some room behind it.
    num_columns = len(columns)
    aligned = ceil(num_columns / _ALIGNED) * _ALIGNED
    room = rows.new_empty(len(rows), aligned)
    return torch.addmm(bias, rows, columns.T, alpha=scale, out=room[:, :num_columns])


def _top_k_weights(
    scores: Tensor, own: Tensor, group: CandidateGroup, config: TrainConfig
) -> Tensor:
    """(pairs,) weights of the pairs, 1 without config.top_k (SL@K, Yang et al. 2025, eq. 10).

    scores: (pairs, candidates) over the temperature. own: (pairs,) those of the pairs.
    """
    if not config.top_k:
        return torch.ones_like(own)
    # Of a sample of the items, the K-th best of all is estimated by that of the same quantile.
    quantile_rank = round(config.top_k * group.sampled_share)
    quantile_rank = min(max(quantile_rank, 1), scores.shape[1])
    border = scores.topk(quantile_rank, sorted=False).values.amin(1)
    # w = σ((s − β) / τ_w), β being the K-th best score.
    return torch.sigmoid((own - border) / config.top_k_temperature)


def _keep_hardest(scores: Tensor, count: int) -> None:
    """Leave each row its `count` highest scores, −∞ for the rest; 0 leaves all."""
    if 0 < count < scores.shape[1]:
        highest = scores.topk(count, sorted=False).values
        border = highest.amin(1, keepdim=True)
        scores.masked_fill_(scores < border, -torch.inf)


LOSSES = {
    "softmax": Loss(softmax, temperature=True),
    "bpr": Loss(bpr, one_rival=True),
}

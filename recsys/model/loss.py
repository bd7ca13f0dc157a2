"""Bayesian personalised ranking; the sampled softmax, with its gradient, is recsys.train.objective."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def bpr(
    user: Float[Tensor, "batch width"],
    positive: Float[Tensor, "batch width"],
    negative: Float[Tensor, "batch width"],
    known: Bool[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Mean of −log σ(s⁺ − s⁻) (Rendle et al. 2009), over the pairs whose negative is not `known` to
    be a positive.
    """
    losses = -logsigmoid((user * (positive - negative)).sum(-1))
    if known is None:
        return losses.mean()
    return losses.masked_fill(known, 0).sum() / (~known).sum().clamp_min(1)

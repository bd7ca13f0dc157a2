"""One block of causal self-attention over a history, at its last position."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from recsys.model.scaling import unit_rows


class CausalBlock(nn.Module):
    """What a user may do next, by the latest event and by what that event asked of the history.

        y = √d · unit(x̂ + ĥ)
        z = out · SiLU(into · y + bias)

    x̂ is the state of the latest event's item at unit length, ĥ what attention asked by x̂ gave, at
    unit length. Users attend from their last position alone, so that one block of a transformer
    (Kang and McAuley 2018, SASRec, eq. 3–6) costs a user as much as any other attention over the
    same events. Its sum of input and attention is normalised by the root mean square (Zhang and
    Sennrich 2019); SiLU is HSTU's (Zhai et al. 2024).

    Args:
        width: of the states.
        seed: of the start: normal draws for `into`; `out` starts at 0, so that the block says
            nothing.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        draws = torch.randn(2 * width, width, generator=torch.Generator().manual_seed(seed))
        self.into = nn.Parameter(draws / sqrt(width))
        self.bias = nn.Parameter(torch.zeros(2 * width))
        self.out = nn.Parameter(torch.zeros(width, 2 * width))

    def forward(
        self, latest: Float[Tensor, "users width"], received: Float[Tensor, "users width"]
    ) -> Float[Tensor, "users width"]:
        # Rows of length √d have a root mean square of 1.
        y = sqrt(latest.shape[1]) * unit_rows(asking(latest, received))
        return silu(y @ self.into.T + self.bias) @ self.out.T


def asking(
    latest: Float[Tensor, "users width"], received: Float[Tensor, "users width"]
) -> Float[Tensor, "users width"]:
    """x̂ + ĥ: who asks, where the latest event counts as much as what was received."""
    return unit_rows(latest) + unit_rows(received)

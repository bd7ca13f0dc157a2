"""Many relations, few numbers: what relations learn as combinations of a few bases (Schlichtkrull
et al. 2018, eq. 3).

There a relation's matrix is such a combination. The degree prior has no matrices: of a relation it
learns two degree exponents and a γ for each head, and these are what is combined. A kind of triple
with a hundred edges then says only which mixture it is of what the frequent ones have learnt,
instead of fitting its own numbers to noise.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from recsys.model.attention import DegreePriorAttention


class Bases(nn.Module):
    """θ_r = θ at the start + Σ_k coefficient_rk basis_k for every relation r, θ being (a, b, γ_1 …
    γ_heads).

    Bases start at 0, so that every relation starts as without them; coefficients from normal draws.

    attentions: by relation name; what of their exponents and γ is learnt at all is replaced by the
        combination. Not the power of weights: how fast edges decay is each relation's own.
    count: of the bases.
    heads: of the attentions.
    """

    def __init__(self, attentions: dict[str, DegreePriorAttention], count: int, heads: int) -> None:
        super().__init__()
        self.bases = nn.Parameter(torch.zeros(count, 2 + heads))
        self.coefficients = nn.ParameterDict()
        for name in attentions:
            self.coefficients[name] = nn.Parameter(torch.randn(count) / count**0.5)
        columns = {
            "source_exponent": slice(0, 1),
            "target_exponent": slice(1, 2),
            "gamma": slice(2, 2 + heads),
        }
        for name, attention in attentions.items():
            for field, columns_of_field in columns.items():
                if getattr(attention, field).requires_grad:
                    combination = _Combination(
                        self.coefficients[name], self.bases, columns_of_field
                    )
                    _combine(attention, field, combination)


class _Combination(nn.Module):
    """The start of a parameter plus its part of the combination. Parameters stay those of Bases:
    each is saved once.
    """

    def __init__(self, coefficients: Tensor, bases: Tensor, columns: slice) -> None:
        super().__init__()
        # In a tuple, torch does not count them as this module's.
        self._shared = (coefficients, bases)
        self._columns = columns

    def forward(self, start: Tensor) -> Tensor:
        # θ_r = θ + Σ_k coefficient_rk basis_k
        coefficients, bases = self._shared
        combined = coefficients @ bases[:, self._columns]
        return start + combined.reshape(start.shape)


def _combine(attention: nn.Module, field: str, combination: _Combination) -> None:
    getattr(attention, field).requires_grad_(False)
    register_parametrization(attention, field, combination)

"""Attention with a degree prior: contains weighted LightGCN at γ = 0."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.graph.schema import Messages

_SMALLEST = torch.finfo(torch.float32).tiny


class DegreePriorAttention(nn.Module):
    """Messages of one relation, attended by cosine on top of a degree prior.

        p_uv   = w_uv · d(u)^(−a)
        α_uv^m = p_uv exp(γ^m cos(h_u^m, h_v^m)) / Σ_u' (the same)
        out_v  = (Σ_u p_uv) · d(v)^(−b) · concat_m Σ_u α_uv^m h_u^m

    With γ = 0 and a = b = ½ this is one weighted LightGCN layer (He et al. 2020, eq. 3): Σ_u w_uv h_u / √(d(u) d(v)).
    Heads m are disjoint slices of the width. The cosine with a zero vector is 0.

    Args:
        heads: number of heads; must divide the width.
        exponent: a and b at the start. learn_exponents: false keeps them there.
        attention: false keeps γ at 0.
        dropout: share of attention weights dropped in training, after the softmax.

    Shape:
        source (num_src, width), target (num_dst, width) → (num_dst, width); rows without neighbours are 0.
    """

    def __init__(
        self,
        heads: int,
        exponent: float = 0.5,
        learn_exponents: bool = True,
        attention: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.source_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.target_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.gamma = nn.Parameter(torch.zeros(heads), requires_grad=attention)
        self.full_mass: Tensor | None
        self.register_buffer("full_mass", None, persistent=False)

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
    ) -> Float[Tensor, "targets width"]:
        adjacency = messages.adjacency
        row, column = adjacency.destinations(), adjacency.indices.long()
        prior = adjacency.weight * messages.source_degree[column].clamp_min(_SMALLEST) ** -self.source_exponent
        h = source.view(len(source), self.heads, -1)
        unit, unit_target = unit_rows(h), unit_rows(target.reshape(len(target), self.heads, -1))
        score = self.gamma * (unit[column] * unit_target[row]).sum(-1)
        weight = prior[:, None] * (score - self.gamma.abs()).exp()
        total = weight.new_zeros(len(target), self.heads).index_add(0, row, weight)
        alpha = nn.functional.dropout(weight / total[row], self.dropout, self.training)
        mixed = h.new_zeros(len(target), *h.shape[1:]).index_add(0, row, alpha[..., None] * h[column])
        drawn_mass = prior.new_zeros(len(target)).index_add(0, row, prior)
        mass = self._neighbourhood_mass(drawn_mass, messages)
        scale = mass * messages.target_degree.clamp_min(_SMALLEST) ** -self.target_exponent
        return mixed.flatten(1) * scale[:, None]

    def refresh_mass(self, messages: Messages) -> None:
        """Keep Σ_u p_uv at the present exponents, for the sampled blocks that follow. messages: of the full graph."""
        self.full_mass = self.mass(messages).detach()

    def mass(self, messages: Messages) -> Float[Tensor, " targets"]:
        """Σ_u p_uv of every target over the edges of `messages`."""
        adjacency = messages.adjacency
        column = adjacency.indices.long()
        prior = adjacency.weight * messages.source_degree[column].clamp_min(_SMALLEST) ** -self.source_exponent
        return prior.new_zeros(adjacency.num_dst).index_add(0, adjacency.destinations(), prior)

    def _neighbourhood_mass(self, drawn: Tensor, messages: Messages) -> Tensor:
        """Mass of the full neighbourhood with the gradient of the drawn one.

        Refreshed masses are taken as they are; else the drawn edges are scaled up, unbiased under uniform drawing.
        """
        if messages.row_scale is None:
            return drawn
        if self.full_mass is None or messages.global_rows is None:
            return drawn * messages.row_scale
        return self.full_mass[messages.global_rows] * (drawn / drawn.detach().clamp_min(_SMALLEST))


def unit_rows(h: Tensor) -> Tensor:
    """Rows of unit length; zero rows stay zero and pass no gradient."""
    length = torch.linalg.vector_norm(h, dim=-1, keepdim=True)
    return torch.where(length > 0, h / length.where(length > 0, 1.0), 0.0)

"""Attention of a user over what the user did."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.core.history import GAPS
from recsys.graph.schema import Messages, Places
from recsys.model.attention import Prepared
from recsys.model.edges import edges_of, positive
from recsys.model.relation_attention import DegreePrior, RelationAttention
from recsys.model.scaling import reciprocal_lengths, unit_rows
from recsys.model.softmax import EdgeProducts, OfSources, SoftmaxMixture


class Recency(nn.Module):
    """How the weight of an event falls with the number of later ones, and with the time to the
    latest: rank_p + gap_g, a logarithm.

    Relative position and logarithmic time as biases of attention: Zhai et al. 2024 (HSTU).

    Args:
        history: ranks.
        with_gaps: whether the time counts, too.
    """

    def __init__(self, history: int, with_gaps: bool) -> None:
        super().__init__()
        self.rank_bias = nn.Parameter(torch.zeros(history))
        self.gap_bias = nn.Parameter(torch.zeros(GAPS)) if with_gaps else None

    def forward(self, places: Places) -> Float[Tensor, " edges"]:
        bias = self.rank_bias[places.rank]
        if self.gap_bias is not None and places.gap is not None:
            bias = bias + self.gap_bias[places.gap]
        return bias


class HistoryAttention(RelationAttention):
    """A mean of the neighbours, weighted by what they are, by where they stand in the history and,
    after the first layer, by what the user is.

        α_uv^m = w_uv^c d(u)^(−a) exp(query^m · ĥ_u^m + ⟨(ĥ_v match)^m, ĥ_u^m⟩) / Σ_u' (the same)
        out_v  = concat_m Σ_u α_uv^m h_u^m

    ĥ_u^m is the state of a neighbour's head m at unit length, ĥ_v that of the user, and w_uv the
    weight of the edge times exp of its `Recency`. Pooling by a query that all users share: Yang et
    al. 2016 (HAN for documents, eq. 5–7, there through a non-linear map).

    Args:
        heads: number of heads; must divide the width.
        width: of the states.
        exponent: a at the start.
        learn_exponents: false keeps it there.
        attention: false keeps query and match at 0.
        matches: learn `match` and c, from 0 and 1; the first layer's users have nothing to match.
        dropout: share of attention weights dropped in training, after the softmax.

    Shape:
        source (num_src, width), target (num_dst, width) → (num_dst, width); rows without neighbours
        are 0.
    """

    def __init__(
        self,
        heads: int,
        width: int,
        exponent: float = 0.5,
        learn_exponents: bool = True,
        attention: bool = True,
        matches: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(heads)
        self.dropout = dropout
        self.source_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.query = nn.Parameter(torch.zeros(heads, width // heads), requires_grad=attention)
        self.match = nn.Parameter(torch.zeros(width, width)) if matches and attention else None
        self.log_weight_power = nn.Parameter(torch.zeros(())) if matches else None

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
        prepared: Prepared | None = None,
    ) -> Float[Tensor, "targets width"]:
        edges = edges_of(messages)
        # c ln w_uv
        log_weight = edges.log_weight
        if messages.recency is not None:
            log_weight = log_weight + messages.recency
        if self.weight_power is not None:
            log_weight = log_weight * self.weight_power
        # query · ĥ_u − a ln d(u), the same for every edge of a source.
        per_source: Tensor = UnitScores.apply(source, self.query)
        log_degree = positive(messages.source_degree).log()
        per_source = per_source - self.source_exponent * log_degree[:, None]
        of_sources: Tensor = OfSources.apply(per_source, edges)
        logits = of_sources + log_weight
        if self.match is not None:
            queries = unit_rows(target) @ self.match
            # By number: of no sources at all, a width of −1 could be anything.
            by_head = source.reshape(len(source), self.heads, source.shape[1] // self.heads)
            keys = unit_rows(by_head).flatten(1)
            logits = logits + EdgeProducts.apply(queries, keys, self.heads, edges)
        keep = edges.dropout(self.heads, self.dropout, self.training, messages.keep)
        mixed: Tensor = SoftmaxMixture.apply(logits, source, edges, keep)
        return mixed

    @property
    def weight_power(self) -> Tensor | None:
        return None if self.log_weight_power is None else self.log_weight_power.exp()

    def prior(self) -> DegreePrior:
        zero = torch.zeros(())
        return DegreePrior(self.source_exponent, zero, torch.zeros(self.heads))


class UnitScores(torch.autograd.Function):
    """query^m · ĥ_u^m of every node and head: h (nodes, heads · d), query (heads, d) → (nodes,
    heads).
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, query: Tensor) -> Tensor:
        scale = reciprocal_lengths(states.reshape(len(states), *query.shape))
        # ⟨query^m, h^m⟩ / |h^m|: all heads in one product with a block-diagonal matrix.
        scores = (states @ _block_diagonal(query)) * scale
        ctx.save_for_backward(states, query, scale, scores)
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        states, query, scale, scores = ctx.saved_tensors
        shape = (len(states), *query.shape)
        # ∂/∂h^m = g^m s^m (query^m − ĥ^m score^m), s^m = 1 / |h^m|
        factor = gradient * scale
        slope = (factor @ _block_diagonal(query).T).view(shape)
        along = factor * scale * scores
        slope.addcmul_(states.reshape(shape), along[..., None], value=-1)
        # ∂/∂query^m = Σ_u g_u^m ĥ_u^m: of (heads, heads · d) the blocks of a head and itself.
        of_all_heads = (factor.T @ states).view(len(query), *query.shape)
        slope_query = torch.diagonal(of_all_heads, dim1=0, dim2=1).T
        return slope.flatten(1), slope_query


def _block_diagonal(query: Tensor) -> Tensor:
    """(heads · d, heads) each head's query in its own column, 0 elsewhere."""
    diagonal: Tensor = torch.block_diag(*query[:, None])
    return diagonal.T

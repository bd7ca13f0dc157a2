"""Attention with a degree prior: contains weighted LightGCN at γ = 0."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.graph.schema import Messages
from recsys.model.edges import SMALLEST, Edges, WeightedSum, by_head, edges_of, positive

_NO_LENGTH = 1e-12


class Prepared:
    """States by head and their unit vectors, made once for all relations of a layer's pass that
    read the same states.

    Lives for one pass: it knows states by their object, and would not see them change.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, str], tuple[Tensor, tuple[Tensor, ...]]] = {}

    def of(self, source: Tensor, target: Tensor, heads: int) -> tuple[Tensor, ...]:
        """Each head's source states and a column of ones (heads, num_src, d + 1); unit vectors
        (heads, n, d) of sources and targets, each with the factors that made them (heads, n, 1).
        """
        table = self._once("table", source, heads, lambda: (_with_ones(source, heads),))
        units = [
            self._once("unit", one, heads, partial(_units, one, heads)) for one in (source, target)
        ]
        return (*table, *units[0], *units[1])

    def _once(
        self, what: str, states: Tensor, heads: int, make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        key = (id(states), heads, what)
        if key not in self._known:
            with torch.no_grad():
                self._known[key] = (
                    states,
                    make(),
                )  # the states are kept, so that no other gets their id
        return self._known[key][1]


class DegreePriorAttention(nn.Module):
    """Messages of one relation, attended by cosine on top of a degree prior.

        p_uv   = w_uv · d(u)^(−a)
        α_uv^m = w_uv^(c − 1) p_uv exp(γ^m cos(h_u^m, h_v^m)) / Σ_u' (the same)
        out_v  = (Σ_u p_uv) · d(v)^(−b) · concat_m Σ_u α_uv^m h_u^m

    With γ = 0, c = 1 and a = b = ½ this is one weighted LightGCN layer (He et al. 2020, eq. 3): Σ_u w_uv h_u / √(d(u) d(v)).
    Heads m are disjoint slices of the width. The cosine with a zero vector is 0. Where weights halve in h days, attention
    hears edges as if they did in h / c; how much a node hears in all stays as the weights say.

    Args:
        heads: number of heads; must divide the width.
        exponent: a and b at the start. learn_exponents: false keeps them there.
        attention: false keeps γ at 0, for one sparse product in place of scores. So does `opened`, until it is true.
        dropout: share of attention weights dropped in training, after the softmax.
        learn_weight_power: learn ln c, from 0; else c is 1.

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
        learn_weight_power: bool = False,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.opened = True
        self.dropout = dropout
        self.source_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.target_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.gamma = nn.Parameter(torch.zeros(heads), requires_grad=attention)
        learnt = learn_weight_power and attention
        self.log_weight_power = nn.Parameter(torch.zeros(())) if learnt else None
        self.full_mass: Tensor | None
        self.register_buffer("full_mass", None, persistent=False)

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
        prepared: Prepared | None = None,
    ) -> Float[Tensor, "targets width"]:
        """prepared: what other relations of the same pass have made of the same states."""
        edges = edges_of(messages)
        reach = self._power(messages.target_degree, self.target_exponent)
        if not (self.attention and self.opened):
            return self._prior_sum(source, edges, messages) * reach[:, None]
        keep = edges.dropout(len(self.gamma), self.dropout, self.training, messages.keep)
        ready = (prepared or Prepared()).of(source, target, len(self.gamma))
        learnt = self.gamma, self.source_exponent, self.weight_power
        mixed: Tensor = _Mixture.apply(source, target, *learnt, edges, keep, ready)
        drawn = self.mass(messages)
        return mixed * (drawn * self._correction(drawn, messages) * reach)[:, None]

    @property
    def weight_power(self) -> Tensor | None:
        """c; None where it stays 1."""
        return None if self.log_weight_power is None else self.log_weight_power.exp()

    def mass(self, messages: Messages) -> Float[Tensor, " targets"]:
        """Σ_u p_uv of every target over the edges of `messages`."""
        prior = self._power(messages.source_degree, self.source_exponent)
        mass: Tensor = WeightedSum.apply(prior[:, None], edges_of(messages), None)
        return mass[:, 0]

    def refresh_mass(self, messages: Messages) -> None:
        """Keep Σ_u p_uv at the present exponents, for the sampled blocks that follow. messages: of
        the full graph.
        """
        self.full_mass = self.mass(messages).detach()

    def _prior_sum(self, source: Tensor, edges: Edges, messages: Messages) -> Tensor:
        """Σ_u p_uv h_u, as if the whole neighbourhood had been drawn."""
        prior = self._power(messages.source_degree, self.source_exponent)
        total: Tensor = WeightedSum.apply(source * prior[:, None], edges, messages.keep)
        if messages.row_scale is None:
            return total
        return total * self._correction(self.mass(messages), messages)[:, None]

    def _correction(self, drawn: Tensor, messages: Messages) -> Tensor:
        """Mass of the full neighbourhood over that of the edges drawn: known after a refresh, else
        estimated.

        The estimate, full number of neighbours over drawn number, is unbiased under uniform
        drawing. No gradient passes: that of the drawn mass stands for the full one's.
        """
        if messages.row_scale is None:
            return torch.ones_like(drawn)
        if self.full_mass is None or messages.global_rows is None:
            return messages.row_scale
        # A row whose every neighbour was excluded has no mass to correct: 0, not 0 times infinity.
        present = drawn.detach() > 0
        return (
            present
            * self.full_mass[messages.global_rows]
            / torch.where(present, drawn.detach(), 1.0)
        )

    @staticmethod
    def _power(degree: Tensor, exponent: Tensor) -> Tensor:
        return positive(degree) ** -exponent


class _Mixture(torch.autograd.Function):
    """concat_m Σ_u α_uv^m h_u^m with the α of DegreePriorAttention, head by head.

    With t_uv = e_uv (⟨g_v, h_u⟩ − ⟨g_v, out_v⟩) / Σ_u' e_u'v, the gradient at the logits,
    everything is a score of edges or a sum over them: Σ_u t_uv k_u for the targets, Σ_v (α_uv g_v +
    …) and Σ_v t_uv q_v for the sources, where k and q are the unit vectors of the cosine. exp needs
    no row maximum: |cos| ≤ 1, so −max|γ| bounds every logit.
    """

    @staticmethod
    def forward(
        ctx: Any,
        source: Tensor,
        target: Tensor,
        gamma: Tensor,
        exponent: Tensor,
        power: Tensor | None,
        edges: Edges,
        keep: Tensor | None,
        ready: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        heads = len(gamma)
        table, key, key_scale, query, query_scale = ready or Prepared().of(source, target, heads)
        prior = edges.log_weight.to(source.dtype)
        prior = prior if power is None else prior * power
        prior = prior - exponent * edges.log_degree.to(source.dtype) - gamma.abs().max()
        weights = prior.repeat(heads, 1)
        mixed = target.new_empty(len(target), heads, key.shape[2])
        total = target.new_empty(heads, len(target))
        for head, weight in enumerate(
            weights
        ):  # a head at a time: its edge values stay in the cache
            edges.by_target.add_scores(weight, query[head], key[head], float(gamma[head]))
            sums = edges.by_target.weighted_sum(weight.exp_(), table[head])
            torch.clamp_min(sums[:, -1], SMALLEST, out=total[head])
            if keep is not None:
                sums = edges.by_target.weighted_sum(weight * keep[head], table[head])
            torch.div(sums[:, :-1], total[head][:, None], out=mixed[:, head])
        ctx.edges, ctx.keep = edges, keep
        ctx.save_for_backward(
            gamma, table, key, key_scale, query, query_scale, mixed, total, weights
        )
        return mixed.flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gamma, table, key, key_scale, query, query_scale, mixed, total, weights = ctx.saved_tensors
        edges: Edges = ctx.edges
        along = (gradient.reshape(mixed.shape) * mixed).sum(-1)
        row_term = along.T / total  # (heads, num_dst): ⟨g_v, out_v⟩ / Σ e
        asked = by_head(gradient, len(gamma)).div_(total[..., None])
        slope = torch.zeros_like(weights)
        slope_target, slope_source = _empty_by_head(query), _empty_by_head(key)
        slope_gamma = torch.empty_like(gamma)
        for head, values in enumerate(slope):
            edges.by_target.add_scores(values, asked[head], table[head, :, :-1])
            if ctx.keep is not None:
                values.mul_(ctx.keep[head])
            values.sub_(row_term[head].index_select(0, edges.target)).mul_(weights[head])
            sums = edges.by_target.weighted_sum(values, key[head])
            slope_gamma[head] = torch.dot(sums.flatten(), query[head].flatten())
            slope_target[:, head] = _through_unit(
                sums, query[head], query_scale[head] * gamma[head]
            )
        slope_exponent = -(slope @ edges.log_degree.to(slope.dtype)).sum()
        slope_power = (
            (slope @ edges.log_weight.to(slope.dtype)).sum() if ctx.needs_input_grad[4] else None
        )
        turned = edges.turned(slope)
        for head, values in enumerate(turned):
            sums = edges.by_source.weighted_sum(values, query[head])
            slope_source[:, head] = _through_unit(sums, key[head], key_scale[head] * gamma[head])
        kept = weights if ctx.keep is None else torch.mul(weights, ctx.keep, out=slope)
        for head, values in enumerate(edges.turned(kept, out=turned)):
            slope_source[:, head] += edges.by_source.weighted_sum(values, asked[head])
        return (
            slope_source.flatten(1),
            slope_target.flatten(1),
            slope_gamma,
            slope_exponent,
            slope_power,
            None,
            None,
            None,
        )


def _with_ones(states: Tensor, heads: int) -> Tensor:
    """(heads, n, d + 1): each head's states and a column of ones, which sums the weights."""
    parts = states.reshape(len(states), heads, -1).transpose(0, 1)
    table = states.new_empty(heads, len(states), parts.shape[2] + 1)
    table[..., :-1] = parts
    table[..., -1] = 1.0
    return table


def _empty_by_head(states: Tensor) -> Tensor:
    """Room for (n, heads, d), from the shape of (heads, n, d)."""
    heads, nodes, width = states.shape
    return states.new_empty(nodes, heads, width)


def _units(states: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    return _unit(by_head(states, heads))


def _unit(states: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors (heads, n, d), zero for zero, made in place, and the factors that made them
    (heads, n, 1).
    """
    length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    scale = torch.where(length > _NO_LENGTH, length.reciprocal(), 0.0)
    return states.mul_(scale), scale


def _through_unit(gradient: Tensor, unit: Tensor, scale: Tensor) -> Tensor:
    """Gradient at states (n, d) from that at their unit vectors, in its place: scale · (g − unit
    ⟨unit, g⟩).
    """
    along = torch.linalg.vecdot(gradient, unit)[:, None]
    return gradient.addcmul_(unit, along, value=-1).mul_(scale)


def unit_rows(states: Tensor) -> Tensor:
    """Rows of unit length; zero rows stay zero and pass no gradient.

    A row shorter than 1e-12 counts as zero: its direction is rounding, and the gradient, which
    divides by the length twice, would not be finite.
    """
    length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    present = length > _NO_LENGTH
    scale: Tensor = present / torch.where(present, length, 1.0)
    return states * scale

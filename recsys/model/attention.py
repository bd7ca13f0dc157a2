"""Attention with a degree prior: contains weighted LightGCN at γ = 0."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.graph.schema import Messages
from recsys.model.edges import SMALLEST, Edges, WeightedSum, by_head, edges_of, positive
from recsys.model.relation_attention import DegreePrior, RelationAttention
from recsys.model.scaling import reciprocal_lengths, scaled_rows


class Units(NamedTuple):
    """Unit vectors of the states, head by head, and the factors that made them.

    vectors: (heads, n, d), zero for zero.
    scale: (heads, n, 1).
    """

    vectors: Tensor
    scale: Tensor


class Prepared:
    """States by head and their unit vectors, made once for all relations of a layer's pass that
    read the same states.

    Lives for one pass: it knows states by their object, and would not see them change.
    """

    def __init__(self) -> None:
        # The states are kept beside what was made of them, so that no others get their id.
        self._tables: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._units: dict[tuple[int, int], tuple[Tensor, Units]] = {}

    def table(self, states: Tensor, heads: int) -> Tensor:
        """(heads, n, d + 1) each head's states and a column of ones, which sums the weights."""
        key = (id(states), heads)
        if key not in self._tables:
            with torch.no_grad():
                self._tables[key] = (states, _with_ones(states, heads))
        return self._tables[key][1]

    def units(self, states: Tensor, heads: int) -> Units:
        """Unit vectors of each head's states."""
        key = (id(states), heads)
        if key not in self._units:
            with torch.no_grad():
                self._units[key] = (states, _units(states, heads))
        return self._units[key][1]


class DegreePriorAttention(RelationAttention):
    """Messages of one relation, attended by cosine on top of a degree prior.

        p_uv   = w_uv · d(u)^(−a)
        α_uv^m = w_uv^(c − 1) p_uv exp(γ^m cos(h_u^m, h_v^m)) / Σ_u' (the same)
        out_v  = (Σ_u p_uv) · d(v)^(−b) · concat_m Σ_u α_uv^m h_u^m

    With γ = 0, c = 1 and a = b = ½ this is one weighted LightGCN layer (He et al. 2020, eq. 3):
    Σ_u w_uv h_u / √(d(u) d(v)). Heads m are disjoint slices of the width. The cosine with a zero
    vector is 0. Where weights halve in h days, attention weighs edges as if they did in h / c; how
    long a message is in all stays as the weights say.

    Args:
        heads: number of heads; must divide the width.
        exponent: a and b at the start.
        learn_exponents: false keeps them there.
        attention: false keeps γ at 0, for one sparse product in place of scores. So does `opened`,
            until it is true.
        dropout: share of attention weights dropped in training, after the softmax.
        learn_weight_power: learn ln c, from 0; else c is 1.

    Shape:
        source (num_src, width), target (num_dst, width) → (num_dst, width); rows without neighbours
        are 0.
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
        super().__init__(heads)
        self.attention = attention
        self.opened = True
        self.dropout = dropout
        self.source_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.target_exponent = nn.Parameter(torch.tensor(exponent), requires_grad=learn_exponents)
        self.gamma = nn.Parameter(torch.zeros(heads), requires_grad=attention)
        learns_power = learn_weight_power and attention
        self.log_weight_power = nn.Parameter(torch.zeros(())) if learns_power else None
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
        target_factor = _power(messages.target_degree, self.target_exponent)  # d(v)^(−b)
        if not (self.attention and self.opened):
            return scaled_rows(self._prior_sum(source, edges, messages), target_factor)
        keep = edges.dropout(self.heads, self.dropout, self.training, messages.keep)
        mixed: Tensor = _AttendedMean.apply(
            source,
            target,
            self.gamma,
            self.source_exponent,
            self.weight_power,
            edges,
            keep,
            prepared or Prepared(),
        )
        mass = self.mass(messages)
        factor = mass * self._correction(mass, messages) * target_factor
        return mixed * factor[:, None]

    def prior(self) -> DegreePrior:
        return DegreePrior(self.source_exponent, self.target_exponent, self.gamma)

    @property
    def weight_power(self) -> Tensor | None:
        """c; None where it stays 1."""
        return None if self.log_weight_power is None else self.log_weight_power.exp()

    def open(self, opened: bool) -> None:
        """Attend, or hold to the prior, which is faster.

        Where γ is not 0, after a warm start say, attention stays open: vectors and encoder would
        differ else.
        """
        self.opened = opened or bool(self.gamma.any())

    def mass(self, messages: Messages) -> Float[Tensor, " targets"]:
        """Σ_u p_uv of every target over the edges of `messages`."""
        source_factor = _power(messages.source_degree, self.source_exponent)
        mass: Tensor = WeightedSum.apply(source_factor[:, None], edges_of(messages), None)
        return mass[:, 0]

    def refresh_mass(self, messages: Messages) -> None:
        """Keep Σ_u p_uv at the present exponents, for the sampled blocks that follow. messages: of
        the full graph.
        """
        self.full_mass = self.mass(messages).detach()

    def _prior_sum(self, source: Tensor, edges: Edges, messages: Messages) -> Tensor:
        """Σ_u p_uv h_u, as if the whole neighbourhood had been drawn."""
        source_factor = _power(messages.source_degree, self.source_exponent)
        scaled = scaled_rows(source, source_factor)
        total: Tensor = WeightedSum.apply(scaled, edges, messages.keep)
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
        divisor = torch.where(present, drawn.detach(), 1.0)
        return present * self.full_mass[messages.global_rows] / divisor


def _power(degree: Tensor, exponent: Tensor) -> Tensor:
    return positive(degree) ** -exponent


class _AttendedMean(torch.autograd.Function):
    """concat_m Σ_u α_uv^m h_u^m with the α of DegreePriorAttention, head by head.

    With e_uv the numerator of α_uv, k and q the unit vectors of sources and targets, and g the
    gradient at the result, the gradient at the logits is

        t_uv = e_uv (⟨g_v, h_u⟩ − ⟨g_v, out_v⟩) / Σ_u' e_u'v

    so that everything is a score of edges or a sum over them: Σ_u t_uv k_u for the targets,
    Σ_v (α_uv g_v + …) and Σ_v t_uv q_v for the sources. exp needs no row maximum: |cos| ≤ 1, so
    −max|γ| bounds every logit.
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
        prepared: Prepared | None = None,
    ) -> Tensor:
        heads = len(gamma)
        prepared = prepared or Prepared()
        table = prepared.table(source, heads)
        keys = prepared.units(source, heads)
        queries = prepared.units(target, heads)

        # c ln w_uv − a ln d(u) − max|γ|: the part of the logits that all heads share.
        log_weight = edges.log_weight.to(source.dtype)
        if power is not None:
            log_weight = log_weight * power
        prior = log_weight - exponent * edges.log_degree.to(source.dtype) - gamma.abs().max()

        weights = prior.repeat(heads, 1)
        mixed = target.new_empty(len(target), heads, keys.vectors.shape[2])
        total = target.new_empty(heads, len(target))
        # A head at a time: its edge values stay in the cache.
        for head, weight in enumerate(weights):
            # e_uv = exp(prior + γ cos(h_u, h_v)), written over the prior.
            query, key = queries.vectors[head], keys.vectors[head]
            edges.by_target.add_scores(weight, query, key, float(gamma[head]))
            sums = edges.by_target.weighted_sum(weight.exp_(), table[head])
            # The column of ones gives Σ_u e_uv, the others Σ_u e_uv h_u.
            torch.clamp_min(sums[:, -1], SMALLEST, out=total[head])
            if keep is not None:
                sums = edges.by_target.weighted_sum(weight * keep[head], table[head])
            torch.div(sums[:, :-1], total[head][:, None], out=mixed[:, head])
        ctx.edges, ctx.keep = edges, keep
        ctx.save_for_backward(gamma, table, *keys, *queries, mixed, total, weights)
        return mixed.flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gamma, table, key, key_scale, query, query_scale, mixed, total, weights = ctx.saved_tensors
        edges: Edges = ctx.edges
        # (heads, num_dst): ⟨g_v, out_v⟩ / Σ_u e_uv
        along = (gradient.reshape(mixed.shape) * mixed).sum(-1)
        row_term = along.T / total
        # (heads, num_dst, d): g_v / Σ_u e_uv
        scaled = by_head(gradient, len(gamma)).div_(total[..., None])

        # By targets: t_uv of every edge, then its sums.
        slope = torch.zeros_like(weights)
        slope_target = _empty_by_head(query)
        slope_gamma = torch.empty_like(gamma)
        for head, values in enumerate(slope):
            edges.by_target.add_scores(values, scaled[head], table[head, :, :-1])
            if ctx.keep is not None:
                values.mul_(ctx.keep[head])
            values.sub_(row_term[head].index_select(0, edges.target))
            values.mul_(weights[head])
            # Σ_u t_uv k_u; with q_v it gives ∂/∂γ = Σ_uv t_uv cos(h_u, h_v).
            sums = edges.by_target.weighted_sum(values, key[head])
            slope_gamma[head] = torch.dot(sums.flatten(), query[head].flatten())
            scale = query_scale[head] * gamma[head]
            slope_target[:, head] = _through_unit(sums, query[head], scale)
        # ∂/∂a = −Σ t_uv ln d(u), ∂/∂c = Σ t_uv ln w_uv.
        slope_exponent = -(slope @ edges.log_degree.to(slope.dtype)).sum()
        slope_power = None
        if ctx.needs_input_grad[4]:
            slope_power = (slope @ edges.log_weight.to(slope.dtype)).sum()

        # By sources: Σ_v t_uv q_v through the unit vectors, and Σ_v α_uv g_v as neighbours.
        slope_source = _empty_by_head(key)
        slope_by_source = edges.by_source_order(slope)
        for head, values in enumerate(slope_by_source):
            sums = edges.by_source.weighted_sum(values, query[head])
            scale = key_scale[head] * gamma[head]
            slope_source[:, head] = _through_unit(sums, key[head], scale)
        used = weights if ctx.keep is None else torch.mul(weights, ctx.keep, out=slope)
        used_by_source = edges.by_source_order(used, out=slope_by_source)
        for head, values in enumerate(used_by_source):
            slope_source[:, head] += edges.by_source.weighted_sum(values, scaled[head])
        slopes = (slope_source.flatten(1), slope_target.flatten(1), slope_gamma)
        return *slopes, slope_exponent, slope_power, None, None, None


def _with_ones(states: Tensor, heads: int) -> Tensor:
    parts = states.reshape(len(states), heads, -1).transpose(0, 1)
    table = states.new_empty(heads, len(states), parts.shape[2] + 1)
    table[..., :-1] = parts
    table[..., -1] = 1.0
    return table


def _empty_by_head(states: Tensor) -> Tensor:
    """Room for (n, heads, d), from the shape of (heads, n, d)."""
    heads, nodes, width = states.shape
    return states.new_empty(nodes, heads, width)


def _units(states: Tensor, heads: int) -> Units:
    vectors = by_head(states, heads)
    scale = reciprocal_lengths(vectors)[..., None]
    return Units(vectors.mul_(scale), scale)


def _through_unit(gradient: Tensor, unit: Tensor, scale: Tensor) -> Tensor:
    """Gradient at states (n, d) from that at their unit vectors, in its place."""
    # scale · (g − unit ⟨unit, g⟩)
    along = torch.linalg.vecdot(gradient, unit)[:, None]
    return gradient.addcmul_(unit, along, value=-1).mul_(scale)

"""Softmax over the neighbours of each target, for logits without a bound: what the textbook layers
share.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu_

from recsys.model.edges import SMALLEST, Edges, Rows, by_head, sums_by_head

SLOPE = 0.2
"""Negative slope of LeakyReLU in both papers."""

_SCORED_AT_ONCE = 1 << 15
"""Edges whose (edges, width) sums GATv2 holds at a time: 8 MB at width 64; shorter runs cost
threads more than caches save.
"""


class SoftmaxMixture(torch.autograd.Function):
    """concat_m Σ_u α_uv^m h_u^m, α = softmax_u(logit_uv).

    Forward takes logits (heads, edges), h (num_src, heads · d), the edges, and keep: (heads, edges)
    factors of dropout, or None; returns (num_dst, heads · d). With g the gradient at the result,
    the logits' gradient is α_uv (⟨g_v, h_u⟩ − ⟨g_v, out_v⟩).
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, source: Tensor, edges: Edges, keep: Tensor | None
    ) -> Tensor:
        heads = len(logits)
        # α = exp(logit − largest of the row) / Σ of the row
        alpha = (logits - _row_peaks(logits, edges)).exp_()
        total = _row_totals(edges.by_target, alpha)
        total.clamp_min_(SMALLEST)
        alpha.div_(total.index_select(1, edges.target))

        states = by_head(source, heads)
        used = alpha if keep is None else alpha * keep
        mixed = sums_by_head(edges.by_target, used, states)
        ctx.edges, ctx.keep = edges, keep
        ctx.save_for_backward(alpha, states, mixed)
        return mixed.transpose(0, 1).flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        alpha, states, mixed = ctx.saved_tensors
        edges: Edges = ctx.edges
        g = by_head(gradient, len(alpha))

        # ⟨g_v, h_u⟩ of every edge, then less ⟨g_v, out_v⟩, times α.
        slope = torch.zeros_like(alpha)
        for head, values in enumerate(slope):
            edges.by_target.add_scores(values, g[head], states[head])
        if ctx.keep is not None:
            slope.mul_(ctx.keep)
        row_term = (g * mixed).sum(-1)
        slope.sub_(row_term.index_select(1, edges.target))
        slope.mul_(alpha)

        # Σ_v α_uv g_v
        used = alpha if ctx.keep is None else alpha * ctx.keep
        slope_states = sums_by_head(edges.by_source, edges.by_source_order(used), g)
        return slope, slope_states.transpose(0, 1).flatten(1), None, None


def _row_peaks(logits: Tensor, edges: Edges) -> Tensor:
    """(heads, edges) the largest logit of each edge's target."""
    index = edges.target.long().expand_as(logits)
    peaks = logits.new_full((len(logits), edges.by_target.num_rows), -torch.inf)
    peaks.scatter_reduce_(1, index, logits, "amax")
    return peaks.index_select(1, edges.target)


class EdgeSum(torch.autograd.Function):
    """left_u^m + right_v^m of every edge: left (num_src, heads), right (num_dst, heads) → (heads,
    edges).
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        of_sources = left.T.contiguous().index_select(1, edges.by_target.indices)
        of_targets = right.T.contiguous().index_select(1, edges.target)
        return of_sources.add_(of_targets)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        edges: Edges = ctx.edges
        left = _row_totals(edges.by_source, edges.by_source_order(gradient))
        right = _row_totals(edges.by_target, gradient.contiguous())
        return left.T, right.T, None


class OfSources(torch.autograd.Function):
    """left_u^m of every edge: left (num_src, heads) → (heads, edges). The way back adds up the edges
    of a source; autograd's own takes five times as long, an edge at a time.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        return left.T.contiguous().index_select(1, edges.by_target.indices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        edges: Edges = ctx.edges
        return _row_totals(edges.by_source, edges.by_source_order(gradient)).T, None


def _row_totals(rows: Rows, values: Tensor) -> Tensor:
    """(heads, rows) sums over the edges of each row: values (heads, edges)."""
    ones = values.new_ones(len(values), rows.num_columns, 1)
    return sums_by_head(rows, values, ones)[..., 0]


class RectifiedScores(torch.autograd.Function):
    """attend^m · LeakyReLU(x_u^m + y_v^m) of every edge: x (num_src, heads · d), y (num_dst, heads
    · d) → (heads, edges).

    The (edges, heads · d) sums inside exist for `_SCORED_AT_ONCE` edges at a time, and are made
    anew backward.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, attend: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(x, y, attend)
        scores = x.new_empty(len(attend), len(edges.weight))
        by_target = edges.by_target
        for run, _, _ in by_target.chunks(_SCORED_AT_ONCE):
            sums = _edge_sums(x, y, by_target.indices[run], edges.target[run], attend)
            rectified = leaky_relu_(sums, SLOPE)
            scores[:, run] = (rectified * attend).sum(-1).T
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, attend = ctx.saved_tensors
        edges: Edges = ctx.edges
        slope_x, slope_y = torch.zeros_like(x), torch.zeros_like(y)
        slope_attend = torch.zeros_like(attend)

        # By targets: Σ_u of the slope at x_u + y_v for y_v; g · LeakyReLU(x_u + y_v) for attend.
        by_target = edges.by_target
        for run, rows, offsets in by_target.chunks(_SCORED_AT_ONCE):
            sums = _edge_sums(x, y, by_target.indices[run], edges.target[run], attend)
            slope_sums = _slope_at_sums(sums, attend, gradient[:, run])
            slope_y[rows] += _row_sums(slope_sums, offsets)
            rectified = leaky_relu_(sums, SLOPE).transpose(0, 1)
            slope_attend += torch.bmm(gradient[:, None, run], rectified)[:, 0]

        # By sources: Σ_v of the slope at x_u + y_v for x_u.
        by_source = edges.by_source
        gradient_by_source = edges.by_source_order(gradient)
        for run, rows, offsets in by_source.chunks(_SCORED_AT_ONCE):
            sums = _edge_sums(x, y, edges.source[run], by_source.indices[run], attend)
            slope_sums = _slope_at_sums(sums, attend, gradient_by_source[:, run])
            slope_x[rows] += _row_sums(slope_sums, offsets)
        return slope_x, slope_y, slope_attend, None


def _edge_sums(x: Tensor, y: Tensor, source: Tensor, target: Tensor, attend: Tensor) -> Tensor:
    """(edges, heads, d) x_u + y_v."""
    sums = x.index_select(0, source).add_(y.index_select(0, target))
    return sums.view(-1, *attend.shape)


def _slope_at_sums(sums: Tensor, attend: Tensor, gradient: Tensor) -> Tensor:
    """(edges, heads, d) gradient at x_u + y_v from that at the scores, (heads, edges)."""
    # torch.where takes ten times as long.
    upstream = attend * gradient.T[..., None]
    slope: Tensor = torch.ops.aten.leaky_relu_backward(upstream, sums, SLOPE, False)
    return slope


def _row_sums(values: Tensor, offsets: Tensor) -> Tensor:
    """(rows, width) sums of consecutive edges: values (edges, heads, d), offsets (rows + 1,)."""
    edges = torch.arange(len(values), dtype=offsets.dtype, device=offsets.device)
    return Rows(offsets, edges, len(values)).weighted_sum(None, values.flatten(1))


class EdgeProducts(torch.autograd.Function):
    """⟨x_v^m, y_u^m⟩ of every edge: x (num_dst, heads · d), y (num_src, heads · d) → (heads, edges)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, heads: int, edges: Edges) -> Tensor:
        of_targets, of_sources = by_head(x, heads), by_head(y, heads)
        ctx.edges = edges
        ctx.save_for_backward(of_targets, of_sources)
        products = x.new_zeros(heads, len(edges.weight))
        for head, values in enumerate(products):
            edges.by_target.add_scores(values, of_targets[head], of_sources[head])
        return products

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_targets, of_sources = ctx.saved_tensors
        edges: Edges = ctx.edges
        # Σ_u g_uv y_u for the targets, Σ_v g_uv x_v for the sources.
        slope_x = sums_by_head(edges.by_target, gradient.contiguous(), of_sources)
        slope_y = sums_by_head(edges.by_source, edges.by_source_order(gradient), of_targets)
        return slope_x.transpose(0, 1).flatten(1), slope_y.transpose(0, 1).flatten(1), None, None

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
    """concat_m Σ_u softmax_u(logit_uv^m) h_u^m; logits (heads, edges), h (num_src, heads · d) →
    (num_dst, heads · d).

    keep: (heads, edges) factors of dropout, or None. The logits' gradient is α_uv (⟨g_v, h_u⟩ −
    ⟨g_v, out_v⟩).
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, source: Tensor, edges: Edges, keep: Tensor | None
    ) -> Tensor:
        heads = len(logits)
        index = edges.target.long().expand_as(logits)
        peak = logits.new_full((heads, edges.by_target.num_rows), -torch.inf).scatter_reduce_(
            1, index, logits, "amax"
        )
        alpha = (logits - peak.index_select(1, edges.target)).exp_()
        one = alpha.new_ones(heads, edges.by_target.num_columns, 1)
        total = sums_by_head(edges.by_target, alpha, one)[..., 0].clamp_min_(SMALLEST)
        alpha.div_(total.index_select(1, edges.target))
        sent = by_head(source, heads)
        mixed = sums_by_head(edges.by_target, alpha if keep is None else alpha * keep, sent)
        ctx.edges, ctx.keep = edges, keep
        ctx.save_for_backward(alpha, sent, mixed)
        return mixed.transpose(0, 1).flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        alpha, sent, mixed = ctx.saved_tensors
        edges: Edges = ctx.edges
        asked = by_head(gradient, len(alpha))
        slope = torch.zeros_like(alpha)
        for head, values in enumerate(slope):
            edges.by_target.add_scores(values, asked[head], sent[head])
        if ctx.keep is not None:
            slope.mul_(ctx.keep)
        slope.sub_((asked * mixed).sum(-1).index_select(1, edges.target)).mul_(alpha)
        kept = alpha if ctx.keep is None else alpha * ctx.keep
        slope_sent = sums_by_head(edges.by_source, edges.turned(kept), asked)
        return slope, slope_sent.transpose(0, 1).flatten(1), None, None


class EdgeSum(torch.autograd.Function):
    """left_u^m + right_v^m of every edge: left (num_src, heads), right (num_dst, heads) → (heads,
    edges).
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        out = left.T.contiguous().index_select(1, edges.by_target.indices)
        return out.add_(right.T.contiguous().index_select(1, edges.target))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        edges: Edges = ctx.edges
        one = gradient.new_ones(
            len(gradient), max(edges.by_target.num_rows, edges.by_target.num_columns), 1
        )
        left = sums_by_head(edges.by_source, edges.turned(gradient), one)
        right = sums_by_head(edges.by_target, gradient.contiguous(), one)
        return left[..., 0].T, right[..., 0].T, None


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
        for place, _, _ in edges.by_target.chunks(_SCORED_AT_ONCE):
            together = _together(x, y, edges.by_target.indices[place], edges.target[place], attend)
            scores[:, place] = (leaky_relu_(together, SLOPE) * attend).sum(-1).T
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, attend = ctx.saved_tensors
        edges: Edges = ctx.edges
        slope_x, slope_y, slope_attend = (
            torch.zeros_like(x),
            torch.zeros_like(y),
            torch.zeros_like(attend),
        )
        for place, rows, offsets in edges.by_target.chunks(_SCORED_AT_ONCE):
            together = _together(x, y, edges.by_target.indices[place], edges.target[place], attend)
            slope_y[rows] += _row_sums(_steepness(together, attend, gradient[:, place]), offsets)
            rectified = leaky_relu_(together, SLOPE).transpose(0, 1)
            slope_attend += torch.bmm(gradient[:, None, place], rectified)[:, 0]
        by_source = edges.turned(gradient)
        for place, rows, offsets in edges.by_source.chunks(_SCORED_AT_ONCE):
            together = _together(x, y, edges.source[place], edges.by_source.indices[place], attend)
            slope_x[rows] += _row_sums(_steepness(together, attend, by_source[:, place]), offsets)
        return slope_x, slope_y, slope_attend, None


def _together(x: Tensor, y: Tensor, source: Tensor, target: Tensor, attend: Tensor) -> Tensor:
    """(edges, heads, d) x_u + y_v."""
    return x.index_select(0, source).add_(y.index_select(0, target)).view(-1, *attend.shape)


def _steepness(together: Tensor, attend: Tensor, gradient: Tensor) -> Tensor:
    """(edges, heads, d) gradient at x_u + y_v from that at the scores, (heads, edges)."""
    # torch.where takes ten times as long.
    passed: Tensor = torch.ops.aten.leaky_relu_backward(
        attend * gradient.T[..., None], together, SLOPE, False
    )
    return passed


def _row_sums(values: Tensor, offsets: Tensor) -> Tensor:
    """(rows, width) sums of consecutive edges: values (edges, heads, d), offsets (rows + 1,)."""
    places = torch.arange(len(values), dtype=offsets.dtype, device=offsets.device)
    return Rows(offsets, places, len(values)).weighted_sum(None, values.flatten(1))

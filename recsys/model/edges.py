"""Sums and scores over the edges of one relation, in torch's own kernels; never an (edges × width)
tensor.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag
from torch.utils.weak import WeakIdKeyDictionary

from recsys.graph.schema import Messages

SMALLEST = torch.finfo(torch.float32).tiny

# torch says once per process that CSR tensors are in beta, as a warning; here it is heard and set
# aside.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], size=(1, 1), check_invariants=False)


@dataclass(frozen=True)
class Rows:
    """Edges grouped by row. indptr: (rows + 1,), indices: (edges,) column of each edge."""

    indptr: Tensor
    indices: Tensor
    num_columns: int

    @property
    def num_rows(self) -> int:
        return len(self.indptr) - 1

    def weighted_sum(self, values: Tensor | None, dense: Tensor) -> Tensor:
        """Σ over each row's edges of value · dense[column]: (rows, width). values: (edges,); None
        counts every edge once.

        embedding_bag is the fastest CSR × dense product of torch on a CPU (FBGEMM: 2.7 ms where
        MKL's takes 16 for 810,128 edges 64 wide on one thread), and takes int32 and every device.
        """
        return embedding_bag(
            self.indices,
            dense,
            self.indptr,
            per_sample_weights=values,
            mode="sum",
            include_last_offset=True,
        )

    def add_scores(self, values: Tensor, left: Tensor, right: Tensor, factor: float = 1.0) -> None:
        """values += factor · ⟨left[row], right[column]⟩ of every edge. values (edges,), left (rows,
        d), right (columns, d).
        """
        shape = (self.num_rows, self.num_columns)
        matrix = torch.sparse_csr_tensor(
            self.indptr, self.indices, values, size=shape, check_invariants=False
        )
        # out=matrix writes into `values`; a result of its own would copy values and indices first.
        torch.sparse.sampled_addmm(matrix, left, right.T, alpha=factor, out=matrix)

    def chunks(self, size: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """Runs of `size` edges: their places, the rows that they lie in, and the rows' offsets
        within the run.
        """
        for start in range(0, len(self.indices), size):
            stop = min(start + size, len(self.indices))
            borders = self.indptr.new_tensor([start + 1, stop])
            first, last = torch.searchsorted(self.indptr, borders).tolist()
            offsets = self.indptr[first - 1 : last + 1].clamp(start, stop) - start
            yield slice(start, stop), slice(first - 1, last), offsets


@dataclass(frozen=True)
class Edges:
    """The edges of one relation by destination, by source, and what of the degree prior stays fixed
    on them.
    """

    by_target: Rows
    weight: Tensor
    source_degree: Tensor

    @cached_property
    def order(self) -> Tensor:
        """(edges,) int64: which edge, in the order of `by_target`, stands at each place of
        `by_source`.
        """
        return torch.argsort(self.by_target.indices, stable=True)

    def by_source_order(self, values: Tensor, out: Tensor | None = None) -> Tensor:
        """Edge values (heads, edges) from the order of `by_target` into that of `by_source`."""
        # gather takes all heads of an edge at once, on all threads: 3 ms for four heads of Gowalla
        # where index_select takes 6 and indexing 8.
        return torch.gather(values, 1, self.order.expand(len(values), -1), out=out)

    @cached_property
    def by_source(self) -> Rows:
        count = torch.bincount(self.by_target.indices, minlength=self.by_target.num_columns)
        indptr = torch.zeros(len(count) + 1, dtype=self.by_target.indptr.dtype, device=count.device)
        indptr[1:] = count.cumsum(0)
        return Rows(indptr, self.target[self.order], self.by_target.num_rows)

    @cached_property
    def target(self) -> Tensor:
        """(edges,) destination of each edge, int32 like the indices."""
        count = self.by_target.indptr.diff()
        rows = torch.arange(len(count), dtype=self.by_target.indices.dtype, device=count.device)
        return torch.repeat_interleave(rows, count, output_size=len(self.by_target.indices))

    @cached_property
    def source(self) -> Tensor:
        """(edges,) source of each edge, in the order of `by_source`."""
        return self.by_target.indices[self.order]

    @cached_property
    def weight_by_source(self) -> Tensor:
        return self.weight[self.order]

    @cached_property
    def log_weight(self) -> Tensor:
        """ln w, less the largest of its row: a softmax does not see it, and old decayed edges do
        not vanish in exp.
        """
        log, rows = self.weight.log(), self.target.long()
        peaks = log.new_full((self.by_target.num_rows,), -torch.inf)
        peaks = peaks.scatter_reduce(0, rows, log, "amax")
        return log - peaks[rows]

    @cached_property
    def log_degree(self) -> Tensor:
        """ln d(u) of each edge's source."""
        return positive(self.source_degree).log()[self.by_target.indices.long()]

    def dropout(
        self, heads: int, share: float, training: bool, keep: Tensor | None
    ) -> Tensor | None:
        """(heads, edges) 0 where an attention weight is dropped, else what makes up for it; None
        when none is.

        keep: (edges,) factors that hold for all heads, or None.
        """
        if not training or not share:
            return None if keep is None else keep.expand(heads, -1)
        if keep is None:
            keep = torch.ones(len(self.weight), device=self.weight.device)
        return torch.nn.functional.dropout(keep.expand(heads, -1), share)


def positive(degree: Tensor) -> Tensor:
    """Degrees with 1 in place of 0, whose powers and logarithm no edge ever asks for."""
    return torch.where(degree > 0, degree, 1.0)


_EDGES: WeakIdKeyDictionary = WeakIdKeyDictionary()


def edges_of(messages: Messages) -> Edges:
    """The edges of `messages`; what is computed from them is kept as long as that very adjacency
    lives.
    """
    adjacency = messages.adjacency
    if adjacency not in _EDGES:
        by_target = Rows(adjacency.indptr, adjacency.indices, adjacency.num_src)
        _EDGES[adjacency] = Edges(by_target, adjacency.weight, messages.source_degree)
    edges: Edges = _EDGES[adjacency]
    return edges


class WeightedSum(torch.autograd.Function):
    """Σ_u keep_uv w_uv h_u with the edges' own fixed weights: one product forward, one transposed
    product backward.

    keep: (edges,) factors, or None for 1.
    """

    @staticmethod
    def forward(ctx: Any, dense: Tensor, edges: Edges, keep: Tensor | None) -> Tensor:
        ctx.edges, ctx.keep = edges, keep
        weight = edges.weight if keep is None else edges.weight * keep
        return edges.by_target.weighted_sum(weight.to(dense.dtype), dense)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        edges: Edges = ctx.edges
        # Σ_v keep_uv w_uv g_v, over the edges by source.
        weight = edges.weight_by_source
        if ctx.keep is not None:
            weight = weight * ctx.keep[edges.order]
        weight = weight.to(gradient.dtype)
        slope = edges.by_source.weighted_sum(weight, gradient.contiguous())
        return slope, None, None


def sums_by_head(rows: Rows, values: Tensor, dense: Tensor) -> Tensor:
    """Weighted sums head by head: values (heads, edges), dense (heads, columns, d) → (heads, rows,
    d).
    """
    sums = []
    for head_values, head_states in zip(values, dense, strict=True):
        sums.append(rows.weighted_sum(head_values, head_states))
    return torch.stack(sums)


def by_head(states: Tensor, heads: int) -> Tensor:
    """(n, heads · d) → (heads, n, d), copied so that the kernels find each head's rows side by
    side.
    """
    parts = states.reshape(len(states), heads, states.shape[1] // heads)
    return torch.clone(parts.transpose(0, 1), memory_format=torch.contiguous_format)

"""The textbook attention layers, for nodes with features: GAT and GATv2."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.graph.schema import Messages
from recsys.model.edges import edges_of
from recsys.model.relation_attention import RelationAttention
from recsys.model.softmax import SLOPE, EdgeSum, RectifiedScores, SoftmaxMixture


class GATLayer(RelationAttention):
    """Graph attention (Velickovic et al. 2018, eq. 1-5), heads concatenated; equals dgl.nn.GATConv
    on a pair of inputs.

        e_uv^m = LeakyReLU(left^m · W_s^m h_u + right^m · W_t^m h_v)
        out_v  = bias + concat_m Σ_u softmax_u(e_uv^m) W_s^m h_u

    Sources and targets are of different node types, so each side has its own W. Edge weights and
    degrees play no part.

    Args:
        width: of the input.
        heads: of the output.
        head_width: of each head; the output has heads · head_width columns.
        dropout: share of attention weights dropped in training, after the softmax.

    Shape:
        source (num_src, width), target (num_dst, width) → (num_dst, heads · head_width); without
        neighbours: bias.
    """

    answers_alone: ClassVar[bool] = True

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__(heads)
        self.dropout = dropout
        self.source = nn.Linear(width, heads * head_width, bias=False)
        self.target = nn.Linear(width, heads * head_width, bias=False)
        self.left = nn.Parameter(torch.empty(heads, head_width))
        self.right = nn.Parameter(torch.empty(heads, head_width))
        self.bias = nn.Parameter(torch.zeros(heads * head_width))
        for weight in (self.source.weight, self.target.weight, self.left, self.right):
            _xavier(weight)

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
        prepared: object = None,
    ) -> Float[Tensor, "targets out"]:
        """prepared: unused; other families take it."""
        edges = edges_of(messages)
        # W_s h_u and W_t h_v, (n, heads, head_width)
        projected = self.source(source)
        of_sources = projected.view(-1, *self.left.shape)
        of_targets = self.target(target).view(-1, *self.right.shape)
        # e_uv (eq. 3), split into a term of the source and one of the target.
        left = (of_sources * self.left).sum(-1)
        right = (of_targets * self.right).sum(-1)
        logits = nn.functional.leaky_relu(EdgeSum.apply(left, right, edges), SLOPE)
        keep = edges.dropout(self.heads, self.dropout, self.training, messages.keep)
        mixed: Tensor = SoftmaxMixture.apply(logits, projected, edges, keep)
        return mixed + self.bias


class GATv2Layer(RelationAttention):
    """Graph attention whose ranking of neighbours depends on the target (Brody et al. 2022, eq. 7).

        e_uv^m = attend^m · LeakyReLU(W_s^m h_u + W_t^m h_v)
        out_v  = concat_m Σ_u softmax_u(e_uv^m) W_s^m h_u

    Equals dgl.nn.GATv2Conv: W_s and W_t have biases of their own.

    Args, Shape: as in GATLayer; rows without neighbours are 0.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__(heads)
        self.dropout = dropout
        self.source = nn.Linear(width, heads * head_width)
        self.target = nn.Linear(width, heads * head_width)
        self.attend = nn.Parameter(torch.empty(heads, head_width))
        for weight in (self.source.weight, self.target.weight, self.attend):
            _xavier(weight)
        nn.init.zeros_(self.source.bias)
        nn.init.zeros_(self.target.bias)

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
        prepared: object = None,
    ) -> Float[Tensor, "targets out"]:
        """prepared: unused; other families take it."""
        edges = edges_of(messages)
        of_sources = self.source(source)
        of_targets = self.target(target)
        logits = RectifiedScores.apply(of_sources, of_targets, self.attend, edges)
        keep = edges.dropout(self.heads, self.dropout, self.training, messages.keep)
        mixed: Tensor = SoftmaxMixture.apply(logits, of_sources, edges, keep)
        return mixed


def _xavier(weight: Tensor) -> None:
    nn.init.xavier_normal_(weight, gain=nn.init.calculate_gain("relu"))

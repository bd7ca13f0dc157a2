"""The textbook attention layers, for nodes with features: GAT and GATv2."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.graph.schema import Messages

SLOPE = 0.2
"""Negative slope of LeakyReLU in both papers."""


class GATLayer(nn.Module):
    """Graph attention (Velickovic et al. 2018, eq. 1-5), heads concatenated; equals dgl.nn.GATConv on a pair of inputs.

        e_uv^m = LeakyReLU(left^m · W_s^m h_u + right^m · W_t^m h_v)
        out_v  = bias + concat_m Σ_u softmax_u(e_uv^m) W_s^m h_u

    Sources and targets are of different node types, so each side has its own W. Edge weights and degrees play no part.

    Args:
        width: of the input. heads, head_width: of the output, heads · head_width together.
        dropout: share of attention weights dropped in training, after the softmax.

    Shape:
        source (num_src, width), target (num_dst, width) → (num_dst, heads · head_width); without neighbours: bias.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.source = nn.Linear(width, heads * head_width, bias=False)
        self.target = nn.Linear(width, heads * head_width, bias=False)
        self.left = nn.Parameter(torch.empty(heads, head_width))
        self.right = nn.Parameter(torch.empty(heads, head_width))
        self.bias = nn.Parameter(torch.zeros(heads * head_width))
        for weight in (self.source.weight, self.target.weight, self.left, self.right):
            nn.init.xavier_normal_(weight, gain=nn.init.calculate_gain("relu"))

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
    ) -> Float[Tensor, "targets out"]:
        adjacency = messages.adjacency
        row, column = adjacency.destinations(), adjacency.indices.long()
        sent = self.source(source).view(len(source), self.heads, -1)
        asked = self.target(target).view(len(target), self.heads, -1)
        score = (sent * self.left).sum(-1)[column] + (asked * self.right).sum(-1)[row]
        score = nn.functional.leaky_relu(score, SLOPE)
        return _attend(score, sent, row, column, len(target), self.dropout if self.training else 0.0) + self.bias


class GATv2Layer(nn.Module):
    """Graph attention whose ranking of neighbours depends on the target (Brody et al. 2022, eq. 7).

        e_uv^m = attend^m · LeakyReLU(W_s^m h_u + W_t^m h_v)
        out_v  = concat_m Σ_u softmax_u(e_uv^m) W_s^m h_u

    Equals dgl.nn.GATv2Conv: W_s and W_t have biases of their own.

    Args, Shape: as in GATLayer; rows without neighbours are 0.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.source = nn.Linear(width, heads * head_width)
        self.target = nn.Linear(width, heads * head_width)
        self.attend = nn.Parameter(torch.empty(heads, head_width))
        for weight in (self.source.weight, self.target.weight, self.attend):
            nn.init.xavier_normal_(weight, gain=nn.init.calculate_gain("relu"))
        for bias in (self.source.bias, self.target.bias):
            nn.init.zeros_(bias)

    def forward(
        self,
        source: Float[Tensor, "sources width"],
        target: Float[Tensor, "targets width"],
        messages: Messages,
    ) -> Float[Tensor, "targets out"]:
        adjacency = messages.adjacency
        row, column = adjacency.destinations(), adjacency.indices.long()
        sent = self.source(source).view(len(source), self.heads, -1)
        asked = self.target(target).view(len(target), self.heads, -1)
        score = (nn.functional.leaky_relu(sent[column] + asked[row], SLOPE) * self.attend).sum(-1)
        return _attend(score, sent, row, column, len(target), self.dropout if self.training else 0.0)


def _attend(score: Tensor, sent: Tensor, row: Tensor, column: Tensor, num_dst: int, dropout: float) -> Tensor:
    """(num_dst, heads · head_width): softmax of the scores (edges, heads) within each row, times what is sent."""
    index = row[:, None].expand_as(score)
    peak = score.new_full((num_dst, score.shape[1]), -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
    weight = (score - peak[row]).exp()
    total = weight.new_zeros(num_dst, score.shape[1]).index_add(0, row, weight)
    alpha = nn.functional.dropout(weight / total[row], dropout)
    return sent.new_zeros(num_dst, *sent.shape[1:]).index_add(0, row, alpha[..., None] * sent[column]).flatten(1)

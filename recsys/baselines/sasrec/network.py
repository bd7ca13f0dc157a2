"""Causal self-attention over a sequence of items (SASRec, Kang and McAuley 2018), in plain torch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_DEVIATION = 0.05  # of the first item and position vectors


class CausalBlock(nn.Module):
    """Self-attention and a feed-forward layer, each added to what it reads, normalised before."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, width)
        self.feed_out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Float[Tensor, "n length width"]) -> Float[Tensor, "n length width"]:
        states = states + self._attend(self.attention_norm(states))
        return states + self._feed(self.feed_norm(states))

    def _attend(self, states: Tensor) -> Tensor:
        """S = softmax(QKᵀ/√d) V over the positions up to each one (eq. 2, causal)."""
        projected = self.project(states)
        query, key, value = projected.chunk(3, dim=-1)
        probability = self.dropout.p if self.training else 0.0
        attended = scaled_dot_product_attention(
            query, key, value, dropout_p=probability, is_causal=True
        )
        mixed: Tensor = self.mix(attended)
        return self._dropped(mixed)

    def _feed(self, states: Tensor) -> Tensor:
        """F = ReLU(S W₁ + b₁) W₂ + b₂ (eq. 4)."""
        hidden = torch.relu(self.feed_in(states))
        hidden = self._dropped(hidden)
        fed: Tensor = self.feed_out(hidden)
        return self._dropped(fed)

    def _dropped(self, states: Tensor) -> Tensor:
        remaining: Tensor = self.dropout(states)
        return remaining


class SequenceNetwork(nn.Module):
    """A state for every position of a sequence: what may follow it.

    The score of an item is its inner product with the state; items have the same vectors as input
    and as candidates.
    """

    def __init__(
        self, num_items: int, window: int, width: int, num_blocks: int, dropout: float
    ) -> None:
        super().__init__()
        self.items = nn.Embedding(num_items, width)
        self.positions = nn.Embedding(window, width)
        self.blocks = nn.ModuleList()
        for _ in range(num_blocks):
            self.blocks.append(CausalBlock(width, dropout))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.items.weight, std=_DEVIATION)
        nn.init.normal_(self.positions.weight, std=_DEVIATION)

    def forward(
        self, items: Int[Tensor, "n length"], positions: Int[Tensor, "n length"]
    ) -> Float[Tensor, "n length width"]:
        # E = √d · M_i + P_t (eq. 1, scaled as in the authors' code)
        scale = self.items.embedding_dim**0.5
        states = scale * self.items(items)
        states = self.dropout(states + self.positions(positions))
        for block in self.blocks:
            states = block(states)
        normalised: Tensor = self.norm(states)
        return normalised


def sampled_softmax(
    states: Float[Tensor, "pairs width"],
    items: Float[Tensor, "items width"],
    positives: Int[Tensor, " pairs"],
    negatives: Int[Tensor, " candidates"],
) -> Float[Tensor, ""]:
    """Mean of −s⁺ + log(e^{s⁺} + Σ_j e^{s_j}) over the pairs, their negatives j shared.

    A negative that is a pair's own positive does not count for it.
    """
    # s⁺ and s_j, inner products of states and items
    positive_vectors = items[positives]
    positive_scores = (states * positive_vectors).sum(-1, keepdim=True)
    negative_scores = states @ items[negatives].T
    is_positive = negatives == positives[:, None]
    negative_scores = negative_scores.masked_fill(is_positive, -torch.inf)
    scores = torch.cat([positive_scores, negative_scores], dim=1)
    losses = scores.logsumexp(dim=1) - positive_scores[:, 0]
    return losses.mean()

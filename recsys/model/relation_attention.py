"""What every family of attention over the neighbours of one relation has in common."""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.graph.schema import Messages


class DegreePrior(NamedTuple):
    """How a family reads degrees, and how sharply it attends; zeros where it does neither.

    source_exponent, target_exponent: a and b, of the degrees of source and target.
    gamma: (heads,) factor on the cosine.
    """

    source_exponent: Tensor
    target_exponent: Tensor
    gamma: Float[Tensor, " heads"]


class RelationAttention(nn.Module):
    """Mixes the states of a node's neighbours into one message: (num_src, width), (num_dst, width)
    → (num_dst, width).

    answers_alone: whether a node without neighbours gets anything but 0.
    """

    answers_alone: ClassVar[bool] = False

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def prior(self) -> DegreePrior:
        """The degree prior at the present parameters."""
        return DegreePrior(torch.zeros(()), torch.zeros(()), torch.zeros(self.heads))

    @property
    def weight_power(self) -> Tensor | None:
        """Power of the edge weights in attention; None where it stays 1."""
        return None

    def open(self, opened: bool) -> None:
        """Attend, or keep to what is known without attention where there is such a thing."""

    def refresh_mass(self, messages: Messages) -> None:
        """Take from the full graph what sampled blocks estimate otherwise."""

"""Pairs of a step, and the items that they are told apart from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.core.arrays import Float64Array, Int64Array


@dataclass(frozen=True)
class CandidateGroup:
    """Pairs that compete against the same candidates.

    users: (pairs,) rows of the users' vectors.
    positives: (pairs,) rows of the items' vectors.
    candidates: (candidates,) rows of distinct items; under a loss with one rival a pair, (pairs,).
    bias: (candidates,) float32 added to a candidate's score: ln of how often it was drawn, less its
        log-Q correction.
    own_bias: (pairs,) float32 added to the score of the pair itself: less its log-Q correction.
    known: (2, n) places (pair, candidate) where the candidate is a known positive of the user.
    sampled_share: candidates as a share of all items.
    stands_for: pairs of the batch that the mean loss of the group stands for; all of its own when
        None. Of a group that processes share, each has some of the pairs.
    """

    users: Tensor
    positives: Tensor
    candidates: Tensor
    bias: Tensor
    own_bias: Tensor
    known: Tensor
    sampled_share: float = 1.0
    stands_for: float | None = None

    @staticmethod
    def of_arrays(
        users: Int64Array,
        positives: Int64Array,
        candidates: Int64Array,
        bias: Float64Array,
        own_bias: Float64Array,
        known: Int64Array,
        sampled_share: float = 1.0,
        stands_for: float | None = None,
    ) -> "CandidateGroup":
        """The same from numpy. Args: as the fields."""
        return CandidateGroup(
            users=torch.from_numpy(users),
            positives=torch.from_numpy(positives),
            candidates=torch.from_numpy(candidates),
            bias=torch.from_numpy(bias.astype("float32")),
            own_bias=torch.from_numpy(own_bias.astype("float32")),
            known=torch.from_numpy(known),
            sampled_share=sampled_share,
            stands_for=stands_for,
        )

    @property
    def pairs(self) -> float:
        """Of the batch, that the mean loss stands for."""
        return len(self.users) if self.stands_for is None else self.stands_for

    def to(self, device: torch.device) -> "CandidateGroup":
        return CandidateGroup(
            users=self.users.to(device, non_blocking=True),
            positives=self.positives.to(device, non_blocking=True),
            candidates=self.candidates.to(device, non_blocking=True),
            bias=self.bias.to(device, non_blocking=True),
            own_bias=self.own_bias.to(device, non_blocking=True),
            known=self.known.to(device, non_blocking=True),
            sampled_share=self.sampled_share,
            stands_for=self.stands_for,
        )

"""Losses on final vectors: sampled softmax with masked known positives, and BPR."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class KnownPositives:
    """The train pairs of the target behaviour, to keep them out of the negatives.

    indptr: (users + 1,), items: (pairs,) int64, grouped by user.
    """

    indptr: Tensor
    items: Tensor

    @staticmethod
    def of(users: Int[Tensor, " pairs"], items: Int[Tensor, " pairs"], num_users: int) -> "KnownPositives":
        order = torch.argsort(users, stable=True)
        indptr = torch.zeros(num_users + 1, dtype=torch.int64, device=users.device)
        indptr[1:] = torch.bincount(users, minlength=num_users).cumsum(0)
        return KnownPositives(indptr, items[order].long())

    def among(self, users: Int[Tensor, " rows"], columns: Int[Tensor, " columns"]) -> tuple[Tensor, Tensor]:
        """Where the matrix users × items `columns` holds known pairs: row and column numbers (int64).

        Work and memory follow the users' own histories, not rows × columns.
        """
        row, item = self._history(users)
        ordered, place = torch.sort(columns.long())
        first = torch.searchsorted(ordered, item)
        count = torch.searchsorted(ordered, item, right=True) - first
        pair = torch.repeat_interleave(count)
        within = torch.arange(len(pair), device=pair.device) - (count.cumsum(0) - count)[pair]
        return row[pair], place[first[pair] + within]

    def contains(self, users: Int[Tensor, " pairs"], items: Int[Tensor, " pairs"]) -> Bool[Tensor, " pairs"]:
        """Whether each pair (users[i], items[i]) is known."""
        row, item = self._history(users)
        return torch.zeros(len(users), dtype=torch.bool, device=users.device).index_put_(
            (row[item == items[row]],), torch.tensor(True, device=users.device)
        )

    def _history(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Every item of every user: the user's row number, and the item."""
        start = self.indptr[users]
        count = self.indptr[users + 1] - start
        row = torch.repeat_interleave(count)
        within = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
        return row, self.items[start[row] + within]


def sampled_softmax(
    user: Float[Tensor, "batch width"],
    positive: Float[Tensor, "batch width"],
    negatives: Float[Tensor, "negatives width"] | None,
    known: tuple[Tensor, Tensor] | None,
    temperature: float,
    in_batch: bool = True,
    log_q: Float[Tensor, " candidates"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over the batch of −log( e^{s⁺} / (e^{s⁺} + Σ_j e^{s_j}) ), s = inner product / temperature.

    The candidates j are the other positives of the batch (when in_batch), then the shared negatives.
    known: row and column numbers, among the candidates, of pairs that are no negatives (KnownPositives.among).
    log_q: log expected count of each candidate in a batch, taken off every score (Yi et al. 2019, eq. 3).
    """
    scaled = user / temperature
    own = (scaled * positive).sum(-1)
    others = [positive] if in_batch else []
    candidates = torch.cat(others if negatives is None else [*others, negatives])
    scores = scaled @ candidates.T
    if log_q is not None:
        scores = scores - log_q
        own = own - log_q[: len(own)] if in_batch else own
    if in_batch:
        scores.diagonal().fill_(-torch.inf)
    if known is not None:
        scores[known] = -torch.inf
    return (torch.logaddexp(own, torch.logsumexp(scores, 1)) - own).mean()


def bpr(
    user: Float[Tensor, "batch width"],
    positive: Float[Tensor, "batch width"],
    negative: Float[Tensor, "batch width"],
    known: Bool[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Mean of −log σ(s⁺ − s⁻) (Rendle et al. 2009), over the pairs whose negative is not `known` to be a positive."""
    losses = -logsigmoid((user * (positive - negative)).sum(-1))
    if known is None:
        return losses.mean()
    return losses.masked_fill(known, 0).sum() / (~known).sum().clamp_min(1)


def log_expected_count(
    candidates: Int[Tensor, " candidates"],
    popularity: Float[Tensor, " items"],
    batch: int,
    negatives: int,
) -> Float[Tensor, " candidates"]:
    """How often a batch holds each candidate item, as a log: `log_q` of sampled_softmax.

    popularity: share of the train pairs that each item takes. batch: in-batch positives (0 when they are no
    candidates). negatives: uniform ones.
    """
    return (batch * popularity[candidates] + negatives / len(popularity)).log()


def squared_length(*states: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
    """Mean over a batch of the summed squares of its layer-0 states: the L2 penalty of matrix factorisation."""
    return torch.stack([state.square().sum() / max(len(state), 1) for state in states]).sum()

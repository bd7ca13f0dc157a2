"""The second level of attention: messages of several relations to a node become one, by gates and by
cosine similarity (semantic attention, Wang et al. 2019, HAN, here for each node).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recsys.model.scaling import reciprocal_lengths

_ROWS = 1024  # at a time: what these need of every relation stays in the cache


class Mixture(torch.autograd.Function):
    """m_v = Σ_r tanh(gate_r) β_r(v) o_r(v), β_r(v) = softmax over the relations present at v of κ_r
    cos(h_v, o_r(v)).

    Forward takes h (n, width), gates and κ (relations,), present (relations, n) bool, and an o (n,
    width) for each relation; returns m. The cosine with a zero vector is 0 and passes no gradient;
    a node where nothing is present gets equal weights. Everything that comes back is a sum of o_r,
    h and the gradient with a factor a row, so that rows go through a few at a time and no
    (relations, n, width) tensor is made.
    """

    @staticmethod
    def forward(
        ctx: Any, target: Tensor, gate: Tensor, kappa: Tensor, present: Tensor, *messages: Tensor
    ) -> Tensor:
        mixed = torch.empty_like(target)
        opening = torch.tanh(gate)
        for rows in _slices(len(target)):
            stack = _stacked(messages, rows)
            attention = _attend(target[rows], stack, kappa, present[:, rows])
            factor = opening[:, None] * attention.share
            torch.sum(stack * factor[..., None], 0, out=mixed[rows])
        ctx.save_for_backward(target, gate, kappa, present, *messages)
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        target, gate, kappa, present, *messages = ctx.saved_tensors
        opening = torch.tanh(gate)
        slope_target = torch.empty_like(target)
        slope_messages = [torch.empty_like(message) for message in messages]
        slope_gate, slope_kappa = torch.zeros_like(gate), torch.zeros_like(kappa)
        for rows in _slices(len(target)):
            state, g = target[rows], gradient[rows]
            stack = _stacked(messages, rows)
            attention = _attend(state, stack, kappa, present[:, rows])
            share, cosine = attention.share, attention.cosine

            # p_r = ⟨g, o_r⟩; ∂/∂tanh(gate_r) = Σ_v β_r p_r.
            along = (stack * g).sum(-1)
            slope_gate += (share * along).sum(1)

            # At the logit κ_r cos_r, by the softmax: β_r (t_r − Σ_s β_s t_s), t_r = tanh(gate_r) p_r.
            # None where the relation is absent, though all are and share alike.
            pull = opening[:, None] * along
            slope_logit = share * (pull - (share * pull).sum(0)) * present[:, rows]
            slope_kappa += (slope_logit * cosine).sum(1)

            # At the cosine, and from there through both unit vectors:
            # ∂cos/∂h = (o/‖o‖ − cos h/‖h‖) / ‖h‖, and the same with h and o exchanged.
            slope_cosine = kappa[:, None] * slope_logit
            cross = slope_cosine * attention.per_message * attention.per_state
            back_state = (slope_cosine * cosine).sum(0) * attention.per_state.square()
            back_message = slope_cosine * attention.per_message * cosine * attention.per_message
            slope_target[rows] = (stack * cross[..., None]).sum(0) - state * back_state[:, None]

            # At o_r, besides: tanh(gate_r) β_r g.
            weight = opening[:, None] * share
            for relation, slope in enumerate(slope_messages):
                slope_rows = g * weight[relation, :, None]
                slope_rows.addcmul_(state, cross[relation, :, None])
                slope_rows.addcmul_(stack[relation], back_message[relation, :, None], value=-1)
                slope[rows] = slope_rows
        # tanh' = 1 − tanh²
        slope_gate = slope_gate * (1 - opening.square())
        return slope_target, slope_gate, slope_kappa, None, *slope_messages


def relation_factors(
    target: Tensor, gate: Tensor, kappa: Tensor, present: Tensor, messages: Sequence[Tensor]
) -> Tensor:
    """(relations, n) the factor tanh(gate_r) β_r(v) on the message of each relation.

    Args: as of `Mixture`.
    """
    shares = torch.empty(present.shape, dtype=target.dtype, device=target.device)
    for rows in _slices(len(target)):
        stack = _stacked(messages, rows)
        shares[:, rows] = _attend(target[rows], stack, kappa, present[:, rows]).share
    return torch.tanh(gate)[:, None] * shares


class _Attention(NamedTuple):
    """Of some rows: what the relations are attended by.

    share: (relations, rows) β.
    cosine: (relations, rows).
    per_state: (rows,) 1 / ‖h‖, 0 for zero.
    per_message: (relations, rows) 1 / ‖o_r‖, 0 for zero.
    """

    share: Tensor
    cosine: Tensor
    per_state: Tensor
    per_message: Tensor


def _attend(state: Tensor, stack: Tensor, kappa: Tensor, present: Tensor) -> _Attention:
    """state: (rows, width), stack: (relations, rows, width), present: (relations, rows)."""
    per_state, per_message = reciprocal_lengths(state), reciprocal_lengths(stack)
    cosine = (stack * state).sum(-1).mul_(per_message).mul_(per_state)
    # Finite, so that a node without any of the relations gets weights instead of NaN; its messages
    # are 0 anyway.
    lowest = torch.finfo(state.dtype).min
    logit = (kappa[:, None] * cosine).masked_fill_(~present, lowest)
    return _Attention(logit.softmax(0), cosine, per_state, per_message)


def _stacked(messages: Sequence[Tensor], rows: slice) -> Tensor:
    """(relations, rows, width)."""
    return torch.stack([message[rows] for message in messages])


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))

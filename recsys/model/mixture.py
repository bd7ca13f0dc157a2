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
            # m_v = Σ_r tanh(gate_r) β_r(v) o_r(v)
            factor = opening[:, None] * attention.share
            torch.sum(stack * factor[..., None], 0, out=mixed[rows])
        ctx.save_for_backward(target, gate, kappa, present, *messages)
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        target, gate, kappa, present, *messages = ctx.saved_tensors
        opening = torch.tanh(gate)
        grad_target = torch.empty_like(target)
        grad_messages = [torch.empty_like(message) for message in messages]
        grad_opening, grad_kappa = torch.zeros_like(gate), torch.zeros_like(kappa)
        for rows in _slices(len(target)):
            state, grad_mixed = target[rows], gradient[rows]
            stack = _stacked(messages, rows)
            attention = _attend(state, stack, kappa, present[:, rows])
            share = attention.share

            # p_r = ⟨g, o_r⟩; ∂/∂tanh(gate_r) = Σ_v β_r p_r.
            projection = (stack * grad_mixed).sum(-1)
            grad_opening += (share * projection).sum(1)

            # At the logit κ_r cos_r, by the softmax: β_r (t_r − Σ_s β_s t_s), t_r = tanh(gate_r) p_r.
            # None where the relation is absent, though all are and share alike.
            grad_share = opening[:, None] * projection
            mean_grad = (share * grad_share).sum(0)
            grad_logit = share * (grad_share - mean_grad) * present[:, rows]
            grad_kappa += (grad_logit * attention.cosine).sum(1)

            # At the cosine, and from there through both unit vectors.
            grad_cosine = kappa[:, None] * grad_logit
            cross, own_state, own_message = _cosine_factors(grad_cosine, attention)
            from_messages = (stack * cross[..., None]).sum(0)
            grad_target[rows] = from_messages - state * own_state[:, None]

            # At o_r, besides: tanh(gate_r) β_r g.
            factor = opening[:, None] * share
            for relation, grad_message in enumerate(grad_messages):
                grad_rows = grad_mixed * factor[relation, :, None]
                grad_rows.addcmul_(state, cross[relation, :, None])
                grad_rows.addcmul_(stack[relation], own_message[relation, :, None], value=-1)
                grad_message[rows] = grad_rows
        # tanh' = 1 − tanh²
        grad_gate = grad_opening * (1 - opening.square())
        return grad_target, grad_gate, grad_kappa, None, *grad_messages


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


def _cosine_factors(grad_cosine: Tensor, attention: _Attention) -> tuple[Tensor, Tensor, Tensor]:
    """What the gradient at the cosines (relations, rows) makes of the vectors in those at h and o.

    ∂cos/∂h = (o/‖o‖ − cos h/‖h‖) / ‖h‖, and the same with h and o exchanged.

    Returns:
        cross: (relations, rows) factor of o_r in the gradient at h, and of h in that at o_r.
        own_state: (rows,) factor of h in the gradient at h, taken off.
        own_message: (relations, rows) factor of o_r in the gradient at o_r, taken off.
    """
    cosine, per_state, per_message = attention.cosine, attention.per_state, attention.per_message
    cross = grad_cosine * per_message * per_state
    own_state = (grad_cosine * cosine).sum(0) * per_state.square()
    own_message = grad_cosine * per_message * cosine * per_message
    return cross, own_state, own_message


def _stacked(messages: Sequence[Tensor], rows: slice) -> Tensor:
    """(relations, rows, width)."""
    return torch.stack([message[rows] for message in messages])


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))

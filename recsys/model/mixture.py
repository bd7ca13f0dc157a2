"""The second level of attention: what several relations send a node becomes one message, by gates
and by likeness.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_ROWS = 1024  # at a time: what these need of every relation stays in the cache
_NO_LENGTH = 1e-12


class Mixture(torch.autograd.Function):
    """m_v = Σ_r tanh(gate_r) β_r(v) o_r(v), β_r(v) = softmax over the relations present at v of κ_r
    cos(h_v, o_r(v)).

    Forward takes h (n, width), gates and κ (relations,), present (relations, n) bool, and an o (n,
    width) for each relation; returns m. The cosine with a zero vector is 0 and passes no gradient;
    a node where nothing is present gets equal weights. With p_r = ⟨g, o_r⟩ and t_r the gradient at
    the cosine, everything that comes back is a sum of o_r, h and g with a factor a row, so that
    rows go through a few at a time and no (relations, n, width) tensor is made.
    """

    @staticmethod
    def forward(
        ctx: Any, target: Tensor, gate: Tensor, kappa: Tensor, present: Tensor, *sent: Tensor
    ) -> Tensor:
        mixed = torch.empty_like(target)
        for rows in _slices(len(target)):
            stack = torch.stack([one[rows] for one in sent])
            share = _share(target[rows], stack, kappa, present[:, rows])[0]
            torch.sum(stack * (torch.tanh(gate)[:, None] * share)[..., None], 0, out=mixed[rows])
        ctx.save_for_backward(target, gate, kappa, present, *sent)
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        target, gate, kappa, present, *sent = ctx.saved_tensors
        opening = torch.tanh(gate)
        slope_target, slopes = torch.empty_like(target), [torch.empty_like(one) for one in sent]
        slope_gate, slope_kappa = torch.zeros_like(gate), torch.zeros_like(kappa)
        for rows in _slices(len(target)):
            state, asked = target[rows], gradient[rows]
            stack = torch.stack([one[rows] for one in sent])
            share, cosine, of_state, of_sent = _share(state, stack, kappa, present[:, rows])
            along = (stack * asked).sum(-1)  # p_r, (relations, rows)
            wanted = opening[:, None] * along
            # Gradient at κ_r cos; none where the relation is absent, though all are and share
            # alike.
            closer = share * (wanted - (share * wanted).sum(0)) * present[:, rows]
            slope_gate += (share * along).sum(1)
            slope_kappa += (closer * cosine).sum(1)
            turn = kappa[:, None] * closer * of_sent
            back = turn * cosine * of_sent
            turn = turn * of_state
            slope_target[rows] = (stack * turn[..., None]).sum(0) - state * (
                (kappa[:, None] * closer * cosine).sum(0) * of_state.square()
            )[:, None]
            weight = opening[:, None] * share
            for place, slope in enumerate(slopes):
                part = asked * weight[place, :, None]
                part.addcmul_(state, turn[place, :, None]).addcmul_(
                    stack[place], back[place, :, None], value=-1
                )
                slope[rows] = part
        return slope_target, slope_gate * (1 - opening.square()), slope_kappa, None, *slopes


def shares(
    target: Tensor, gate: Tensor, kappa: Tensor, present: Tensor, sent: list[Tensor]
) -> Tensor:
    """(relations, n) the factor tanh(gate_r) β_r(v) on what each relation sends."""
    found = [
        _share(target[r], torch.stack([one[r] for one in sent]), kappa, present[:, r])[0]
        for r in _slices(len(target))
    ]
    return torch.tanh(gate)[:, None] * torch.cat([present[:, :0].to(target.dtype), *found], dim=1)


def _share(
    state: Tensor, stack: Tensor, kappa: Tensor, present: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """β and cosine (relations, rows), and one over the lengths of h (rows,) and of o (relations,
    rows), 0 for zero.
    """
    of_state, of_sent = _inverse_length(state), _inverse_length(stack)
    cosine = (stack * state).sum(-1).mul_(of_sent).mul_(of_state)
    # Finite, so that a node without any of the relations gets weights instead of NaN; what it is
    # sent is 0 anyway.
    logit = (kappa[:, None] * cosine).masked_fill_(~present, torch.finfo(state.dtype).min)
    return logit.softmax(0), cosine, of_state, of_sent


def _inverse_length(states: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(states, dim=-1)
    return torch.where(length > _NO_LENGTH, length.reciprocal(), 0.0)


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS))

"""Rows of states divided by their length or times a factor, with ways back that read each row once."""

from typing import Any

import torch
from torch import Tensor

_NO_LENGTH = 1e-12


def unit_rows(states: Tensor) -> Tensor:
    """Rows of unit length; zero rows stay zero and pass no gradient.

    A row shorter than 1e-12 counts as zero: its direction is rounding, and the gradient, which
    divides by the length twice, would not be finite.
    """
    units: Tensor = _UnitRows.apply(states)
    return units


def scaled_rows(states: Tensor, factor: Tensor) -> Tensor:
    """(n, width) rows, each times its factor (n,)."""
    scaled: Tensor = _ScaledRows.apply(states, factor)
    return scaled


def reciprocal_lengths(states: Tensor) -> Tensor:
    """(…,) 1 over the length of the rows (…, d); 0 where a row counts as zero."""
    length = torch.linalg.vector_norm(states, dim=-1)
    return torch.where(length > _NO_LENGTH, length.reciprocal(), 0.0)


class _UnitRows(torch.autograd.Function):
    """Autograd's own way back reads and writes the states twice as often."""

    @staticmethod
    def forward(ctx: Any, states: Tensor) -> Tensor:
        scale = reciprocal_lengths(states)[..., None]
        units = states * scale
        ctx.save_for_backward(units, scale)
        return units

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        units, scale = ctx.saved_tensors
        # scale · (g − unit ⟨unit, g⟩)
        along = torch.linalg.vecdot(gradient, units)[..., None]
        return torch.addcmul(gradient, units, along, value=-1).mul_(scale)


class _ScaledRows(torch.autograd.Function):
    """Autograd would write g · h of every entry before it sums a row of them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(states, factor)
        return states * factor[:, None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        states, factor = ctx.saved_tensors
        slope = gradient * factor[:, None] if ctx.needs_input_grad[0] else None
        slope_factor = None
        if ctx.needs_input_grad[1]:
            slope_factor = torch.linalg.vecdot(gradient, states)
        return slope, slope_factor

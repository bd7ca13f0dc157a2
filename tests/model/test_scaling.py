"""Unit lengths and their ways back, against what autograd makes of the plain formulas."""

import pytest
import torch
from torch import Tensor

from recsys.model.edges import Edges, Rows
from recsys.model.history_attention import UnitScores
from recsys.model.scaling import scaled_rows, unit_rows
from recsys.model.softmax import OfSources


def states_of(nodes: int, width: int, seed: int = 3) -> Tensor:
    """(nodes, width) rows of very different length; the second one is zero."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(nodes, width, generator=generator, dtype=torch.float64)
    states *= torch.logspace(-3, 3, nodes, dtype=torch.float64)[:, None]
    states[1] = 0
    return states.requires_grad_()


def plain_units(states: Tensor) -> Tensor:
    length = states.norm(dim=-1, keepdim=True)
    return states / torch.where(length > 0, length, 1.0)


def gradients(values: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a sum of the values in which each counts differently."""
    counts = torch.arange(1.0, values.numel() + 1, dtype=values.dtype).reshape(values.shape)
    return torch.autograd.grad((values * counts).sum(), leaves)


@pytest.mark.parametrize("shape", [(7, 5), (4, 3, 2)])
def test_unit_rows_and_their_gradient(shape):
    states = states_of(shape[0], 30)[:, : torch.Size(shape[1:]).numel()]
    states = states.reshape(shape).detach().requires_grad_()
    units = unit_rows(states)
    expected = plain_units(states)
    assert torch.allclose(units, expected, rtol=1e-12)
    [slope] = gradients(units, [states])
    [plain] = gradients(expected, [states])
    has_length = states.norm(dim=-1) > 0
    assert torch.allclose(slope[has_length], plain[has_length], rtol=1e-9)
    assert not slope[~has_length].any()


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_scores_of_unit_states_and_their_gradient(heads):
    states = states_of(9, 12)
    generator = torch.Generator().manual_seed(heads)
    query = torch.randn(heads, 12 // heads, generator=generator, dtype=torch.float64)
    query.requires_grad_()
    scores = UnitScores.apply(states, query)
    by_head = states.reshape(9, heads, -1)
    expected = (plain_units(by_head) * query).sum(-1)
    assert torch.allclose(scores, expected, rtol=1e-12)
    slope, slope_query = gradients(scores, [states, query])
    plain, plain_query = gradients(expected, [states, query])
    assert torch.allclose(slope_query, plain_query, rtol=1e-9)
    has_length = states.norm(dim=-1) > 0
    assert torch.allclose(slope[has_length], plain[has_length], rtol=1e-9)
    assert not slope[~has_length].any()


@pytest.mark.parametrize("leaves", ["both", "states", "factor"])
def test_scaled_rows_and_their_gradient(leaves):
    states = states_of(6, 4).detach().requires_grad_(leaves != "factor")
    factor = torch.linspace(-1, 2, 6, dtype=torch.float64).requires_grad_(leaves != "states")
    wanted = [leaf for leaf in (states, factor) if leaf.requires_grad]
    scaled, expected = scaled_rows(states, factor), states * factor[:, None]
    assert torch.equal(scaled, expected)
    for slope, plain in zip(gradients(scaled, wanted), gradients(expected, wanted), strict=True):
        assert torch.allclose(slope, plain, rtol=1e-12)


def test_values_of_sources_go_back_as_autograd_has_it():
    # Three targets with sources (1, 0), none and (1, 3, 1); source 2 has no edge.
    indptr = torch.tensor([0, 2, 2, 5], dtype=torch.int32)
    indices = torch.tensor([1, 0, 1, 3, 1], dtype=torch.int32)
    edges = Edges(Rows(indptr, indices, 4), torch.ones(5), torch.ones(4))
    left = torch.randn(4, 2, generator=torch.Generator().manual_seed(1)).requires_grad_()
    values, expected = OfSources.apply(left, edges), left[indices.long()].T
    assert torch.equal(values, expected)
    [slope], [plain] = gradients(values, [left]), gradients(expected, [left])
    assert torch.allclose(slope, plain, rtol=1e-6)
    assert not slope[2].any()

"""The mixture of relations: the documented formula, its gradient by finite differences, rows that
hear nothing.
"""

import pytest
import torch

from recsys.model import mixture
from recsys.model.mixture import Mixture, relation_factors
from recsys.model.scaling import unit_rows

NODES, WIDTH, RELATIONS = 7, 4, 3


@pytest.fixture(autouse=True)
def few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(mixture, "_ROWS", 3)


def inputs(dtype=torch.float64):
    """States, gates, κ, presence and what is sent: the last node hears nothing, the first has no
    state.
    """
    draws = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draws, dtype=dtype)

    present = torch.rand(RELATIONS, NODES, generator=draws) > 0.4
    present[:, -1] = False
    target, sent = draw(NODES, WIDTH), [draw(NODES, WIDTH) * one[:, None] for one in present]
    target[0] = 0
    return target, draw(RELATIONS), draw(RELATIONS), present, sent


def by_formula(target, gate, kappa, present, *sent):
    out = torch.zeros_like(target)
    for v in range(len(target)):
        here = [r for r in range(len(sent)) if present[r, v]]
        if not here:
            continue
        close = torch.stack(
            [
                kappa[r] * (unit_rows(target[v : v + 1]) @ unit_rows(sent[r][v : v + 1]).T)[0, 0]
                for r in here
            ]
        )
        for r, share in zip(here, close.softmax(0), strict=True):
            out[v] += torch.tanh(gate[r]) * share * sent[r][v]
    return out


def test_it_is_the_documented_formula():
    target, gate, kappa, present, sent = inputs()
    expected = by_formula(target, gate, kappa, present, *sent)
    torch.testing.assert_close(Mixture.apply(target, gate, kappa, present, *sent), expected)
    factors = relation_factors(target, gate, kappa, present, sent)
    torch.testing.assert_close(
        sum(f[:, None] * one for f, one in zip(factors, sent, strict=True)), expected
    )


def test_its_gradient_is_that_of_finite_differences():
    target, gate, kappa, present, sent = inputs()
    # Where nothing comes the cosine has a corner, and nodes without a state pass none: both are
    # left out here.
    target[0] = 1.0
    moving = [target, gate, kappa, *(one + 0.5 for one in sent)]
    everywhere = torch.ones_like(present)

    def mixed(target, gate, kappa, *sent):
        return Mixture.apply(target, gate, kappa, everywhere, *sent)

    assert torch.autograd.gradcheck(mixed, [one.clone().requires_grad_() for one in moving])


def test_absent_relations_and_empty_states_pass_what_autograd_passes():
    target, gate, kappa, present, sent = inputs()
    asked = torch.randn(NODES, WIDTH, dtype=torch.float64)
    found = []
    for way in (Mixture.apply, by_formula):
        moving = [one.clone().requires_grad_() for one in (target, gate, kappa, *sent)]
        (way(*moving[:3], present, *moving[3:]) * asked).sum().backward()
        found.append([one.grad for one in moving])
    for ours, theirs in zip(found[0][:3], found[1][:3], strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs, there in zip(found[0][3:], found[1][3:], present, strict=True):
        torch.testing.assert_close(ours[there], theirs[there])


def test_closed_gates_send_nothing_and_hear_a_gradient():
    target, gate, kappa, present, sent = inputs(torch.float32)
    gate = torch.zeros_like(gate).requires_grad_()
    mixed = Mixture.apply(target, gate, kappa, present, *sent)
    assert not mixed.any()
    mixed.sum().backward()
    assert gate.grad.abs().sum() > 0

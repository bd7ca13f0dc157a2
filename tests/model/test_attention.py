import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.model.attention import DegreePriorAttention, _AttendedMean
from recsys.model.edges import WeightedSum, edges_of
from recsys.model.scaling import unit_rows


def random_weights(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    dense = (draw.random((rows, columns)) < 0.4) * draw.uniform(0.2, 3.0, (rows, columns))
    dense[0] = 0
    dense[:, 1] = 0
    return dense


def layer_with(gamma, a=0.4, b=0.7, power=None):
    layer = DegreePriorAttention(len(gamma), a, learn_weight_power=power is not None)
    with torch.no_grad():
        if power is not None:
            layer.log_weight_power.fill_(math.log(power))
        layer.gamma.copy_(torch.tensor(gamma))
        layer.target_exponent.fill_(b)
    return layer


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return float(x @ y / lengths) if lengths else 0.0


def oracle(
    dense: np.ndarray, source: np.ndarray, target: np.ndarray, gamma, a: float, b: float, c=1.0
) -> np.ndarray:
    """The formulae of core.encoder, one edge and one head at a time, in float64."""
    degree_u, degree_v = dense.sum(0), dense.sum(1)
    out = np.zeros_like(target)
    head_width = source.shape[1] // len(gamma)
    for v in range(len(target)):
        neighbours = np.flatnonzero(dense[v])
        prior = {u: dense[v, u] * degree_u[u] ** -a for u in neighbours}
        for m, strength in enumerate(gamma):
            part = slice(m * head_width, (m + 1) * head_width)
            likeness = {
                u: math.exp(strength * cosine(source[u, part], target[v, part])) for u in neighbours
            }
            weight = {u: dense[v, u] ** (c - 1) * prior[u] * likeness[u] for u in neighbours}
            for u in neighbours:
                alpha = weight[u] / sum(weight.values())
                out[v, part] += sum(prior.values()) * degree_v[v] ** -b * alpha * source[u, part]
    return out


def test_by_hand(make_messages):
    """One target, two sources of degrees 1 and 4, a = b = ½, γ = ln 2: one source looks like the
    target, one is opposite.
    """
    messages = make_messages(np.array([[1.0, 1.0], [0.0, 3.0]]))
    layer = layer_with([math.log(2)], 0.5, 0.5)
    out = layer(
        torch.tensor([[3.0, 0.0], [-1.0, 0.0]]), torch.tensor([[5.0, 0.0], [0.0, 1.0]]), messages
    )
    # Priors 1 and ½, factors 2 and ½: weights 2 and ¼, α = 8/9 and 1/9; mass 3/2, degree 2.
    expected = (8 / 9 * 3 - 1 / 9) * 1.5 / math.sqrt(2)
    assert out[0].tolist() == pytest.approx([expected, 0.0], rel=1e-6)
    # A single neighbour takes all: mass 3/2, degree 3.
    assert out[1].tolist() == pytest.approx([-1.5 / math.sqrt(3), 0.0], rel=1e-6)


@pytest.mark.parametrize("gamma", [[0.8], [0.0, -1.5], [3.0, 0.1, -0.4, 12.0]])
def test_equals_the_loops(make_messages, gamma):
    dense = random_weights(9, 13)
    draw = np.random.default_rng(1)
    source, target = draw.normal(size=(13, 8)), draw.normal(size=(9, 8))
    out = layer_with(gamma)(
        torch.tensor(source).float(), torch.tensor(target).float(), make_messages(dense)
    )
    np.testing.assert_allclose(
        out.detach(), oracle(dense, source, target, gamma, 0.4, 0.7), atol=2e-6
    )


@pytest.mark.parametrize("power", [0.3, 1.0, 2.5])
def test_powers_of_weights_equal_the_loops(make_messages, power):
    dense = random_weights(9, 13)
    draw = np.random.default_rng(1)
    source, target = draw.normal(size=(13, 8)), draw.normal(size=(9, 8))
    states = torch.tensor(source).float(), torch.tensor(target).float()
    out = layer_with([0.8, -0.3], power=power)(*states, make_messages(dense))
    np.testing.assert_allclose(
        out.detach(), oracle(dense, source, target, [0.8, -0.3], 0.4, 0.7, power), atol=2e-6
    )


def test_weights_of_ancient_edges_are_taken_to_a_power(make_messages):
    """Weights down to the smallest number there is: nothing vanishes, nothing overflows."""
    dense = np.array([[1.0, np.finfo(np.float32).tiny], [np.finfo(np.float32).tiny] * 2])
    for power in (0.01, 20.0):
        out = layer_with([1.0], power=power)(
            torch.randn(2, 4), torch.randn(2, 4), make_messages(dense)
        )
        assert out.isfinite().all()


def test_learns_how_fast_neighbours_fade(make_messages):
    """Targets that hear their neighbours' weights squared, half-lives half as long that is: the
    power becomes 2.
    """
    messages = make_messages(random_weights(30, 40, seed=2))
    source, target = torch.randn(40, 8), torch.randn(30, 8)
    with torch.no_grad():
        wanted = layer_with([0.0, 0.0], power=2.0)(source, target, messages)
    layer = layer_with([0.0, 0.0], power=1.0)
    optimiser = torch.optim.Adam([layer.log_weight_power], lr=0.05)
    for _ in range(120):
        optimiser.zero_grad()
        (layer(source, target, messages) - wanted).square().sum().backward()
        optimiser.step()
    assert layer.weight_power.item() == pytest.approx(2.0, rel=1e-2)


def test_the_power_stays_at_one_without_attention():
    assert DegreePriorAttention(2, attention=False, learn_weight_power=True).weight_power is None


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]), st.floats(0, 1.5), st.floats(-6, 6))
def test_equals_the_loops_anywhere(seed, heads, exponent, strength):
    from recsys.graph.schema import Adjacency, Messages, source_degrees, target_degrees

    dense = random_weights(5, 6, seed)
    matrix = sparse.csr_matrix(dense)
    adjacency = Adjacency(
        torch.from_numpy(matrix.indptr),
        torch.from_numpy(matrix.indices),
        torch.from_numpy(matrix.data).float(),
        6,
    )
    messages = Messages(adjacency, source_degrees(adjacency), target_degrees(adjacency))
    draw = np.random.default_rng(seed)
    source, target = draw.normal(size=(6, 8)), draw.normal(size=(5, 8))
    gamma = [strength] * heads
    out = layer_with(gamma, exponent, exponent)(
        torch.tensor(source).float(), torch.tensor(target).float(), messages
    )
    expected = oracle(dense, source, target, gamma, exponent, exponent)
    np.testing.assert_allclose(out.detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", [True, False])
def test_without_attention_it_is_weighted_lightgcn(make_messages, attention):
    dense = random_weights(40, 50)
    source = torch.randn(50, 16)
    with np.errstate(divide="ignore"):
        left = np.where(dense.sum(1) > 0, dense.sum(1) ** -0.5, 0)
        right = np.where(dense.sum(0) > 0, dense.sum(0) ** -0.5, 0)
    normalised = sparse.diags(left) @ sparse.csr_matrix(dense) @ sparse.diags(right)
    out = DegreePriorAttention(4, attention=attention)(
        source, torch.randn(40, 16), make_messages(dense)
    )
    np.testing.assert_allclose(
        out.detach(), normalised @ source.numpy().astype(np.float64), atol=1e-6
    )


@pytest.mark.parametrize("power", [None, 1.7])
@pytest.mark.parametrize("dropped", [False, True])
def test_gradients_of_the_mixture(make_messages, dropped, power):
    edges = edges_of(make_messages(random_weights(6, 7)))
    keep = torch.randint(0, 2, (2, len(edges.weight))).double() * 1.6 if dropped else None
    inputs = [torch.randn(7, 6), torch.randn(6, 6), torch.randn(2), torch.tensor(0.4)]
    inputs += [] if power is None else [torch.tensor(power)]
    inputs = [one.double().requires_grad_() for one in inputs]

    def mixture(*x):
        return _AttendedMean.apply(*x, *([None] if power is None else []), edges, keep)

    assert torch.autograd.gradcheck(mixture, inputs)


def test_gradients_of_the_weighted_sum(make_messages):
    edges = edges_of(make_messages(random_weights(6, 7)))
    assert torch.autograd.gradcheck(
        lambda x: WeightedSum.apply(x, edges, None),
        [torch.randn(7, 3, dtype=torch.double, requires_grad=True)],
    )


@pytest.mark.parametrize("attention", [True, False])
def test_gradients_of_the_layer_equal_those_of_dense_algebra(make_messages, attention):
    dense = random_weights(9, 13)
    layer = DegreePriorAttention(2, 0.3, attention=attention).double()
    with torch.no_grad():
        layer.gamma.copy_(torch.tensor([0.7, -1.2]) * attention)
    source, target = (torch.randn(n, 8, dtype=torch.double, requires_grad=True) for n in (13, 9))
    weighing = torch.randn(9, 8, dtype=torch.double)
    (layer(source, target, make_messages(dense)) * weighing).sum().backward()
    ours = [source.grad, target.grad, *[p.grad for p in layer.parameters() if p.requires_grad]]
    theirs_in = [source.detach().requires_grad_(), target.detach().requires_grad_()]
    parameters = [
        p.detach().clone().requires_grad_() for p in layer.parameters() if p.requires_grad
    ]
    gamma = parameters[2] if attention else torch.zeros(2, dtype=torch.double)
    out = dense_layer(
        torch.tensor(dense.astype(np.float32)).double(), *theirs_in, gamma, *parameters[:2]
    )
    (out * weighing).sum().backward()
    for found, expected in zip(ours, [one.grad for one in theirs_in + parameters], strict=True):
        expected = torch.zeros_like(found) if expected is None else expected
        torch.testing.assert_close(
            torch.zeros_like(expected) if found is None else found, expected, atol=1e-6, rtol=1e-5
        )


def dense_layer(dense, source, target, gamma, a, b):
    """The same formulae on dense matrices, for autograd to differentiate."""
    degree_u, degree_v = dense.sum(0).clamp_min(1e-30), dense.sum(1).clamp_min(1e-30)
    prior = dense * degree_u**-a
    parts = []
    for m in range(len(gamma)):
        h, g = (
            source.view(len(source), len(gamma), -1)[:, m],
            target.view(len(target), len(gamma), -1)[:, m],
        )
        close = (g / g.norm(dim=1, keepdim=True)) @ (h / h.norm(dim=1, keepdim=True)).T
        weight = prior * (gamma[m] * close).exp()
        parts.append(weight @ h / weight.sum(1, keepdim=True).clamp_min(1e-300))
    scale = torch.where(dense.sum(1) > 0, prior.sum(1) * degree_v**-b, 0.0)
    return torch.cat(parts, 1) * scale[:, None]


def test_nobody_to_hear_gives_zero_and_finite_gradients(make_messages):
    dense = random_weights(6, 7)
    source, target = torch.randn(7, 8), torch.randn(6, 8)
    source[2:4] = 0
    target[3:] = 0
    layer = layer_with([1.0, -2.0])
    source.requires_grad_()
    target.requires_grad_()
    out = layer(source, target, make_messages(dense))
    assert not out[0].any()
    out.square().sum().backward()
    assert all(one.grad.isfinite().all() for one in (source, target, *layer.parameters()))


def test_no_edges_at_all(make_messages):
    layer = layer_with([1.0, -2.0])
    source, target = torch.randn(7, 8, requires_grad=True), torch.randn(6, 8, requires_grad=True)
    out = layer(source, target, make_messages(np.zeros((6, 7))))
    out.sum().backward()
    assert not out.any()
    assert not source.grad.any()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_attention_depends_on_the_target(make_messages):
    """Two targets with the same neighbours prefer different ones: the score is no sum of a source's
    and a target's.
    """
    source = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    out = layer_with([3.0])(source, source, make_messages(np.ones((2, 2))))
    assert out[0, 0] > out[0, 1]
    assert out[1, 1] > out[1, 0]


@pytest.mark.parametrize("strength", [30.0, -30.0])
@pytest.mark.parametrize("weight", [1e-30, 1e30])
def test_extreme_weights_and_strengths_stay_finite(make_messages, strength, weight):
    dense = np.ones((3, 4))
    dense[1] *= weight
    out = layer_with([strength], 0.5, 0.5)(
        torch.randn(4, 6), torch.randn(3, 6), make_messages(dense)
    )
    assert out.isfinite().all()
    assert out[1].any()


def test_dropout_is_off_in_evaluation_and_right_on_average(make_messages):
    layer = DegreePriorAttention(2, dropout=0.5)
    source, target, messages = (
        torch.randn(7, 8),
        torch.randn(6, 8),
        make_messages(random_weights(6, 7)),
    )
    expected = layer.eval()(source, target, messages)
    torch.testing.assert_close(expected, DegreePriorAttention(2)(source, target, messages))
    layer.train()
    mean = torch.stack([layer(source, target, messages) for _ in range(1000)]).mean(0)
    torch.testing.assert_close(mean, expected, atol=0.1, rtol=0.1)


def test_parameters_that_are_fixed():
    fixed = DegreePriorAttention(2, learn_exponents=False, attention=False)
    assert not [name for name, parameter in fixed.named_parameters() if parameter.requires_grad]
    assert len([p for p in DegreePriorAttention(2).parameters() if p.requires_grad]) == 3


def test_unit_rows_of_zero_pass_no_gradient():
    h = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    unit = unit_rows(h)
    torch.testing.assert_close(unit.detach(), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    unit.sum().backward()
    assert h.grad.isfinite().all()
    assert not h.grad[1].any()


@pytest.mark.parametrize("length", [1e-13, 1e-22, 1e-38, 1e-45])
def test_rows_of_rounding_errors_pass_no_gradient(length):
    h = torch.full((1, 4), length, requires_grad=True)
    unit_rows(h).sum().backward()
    assert not h.grad.any()


def test_shapes_are_checked_here(make_messages):
    with pytest.raises(Exception, match="width"):
        layer_with([1.0])(torch.randn(7, 8), torch.randn(6, 4), make_messages(random_weights(6, 7)))


def test_gradients_that_are_expanded_views(make_messages):
    edges = edges_of(make_messages(random_weights(6, 7)))
    source, target = torch.randn(7, 4, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    out = _AttendedMean.apply(
        source, target, torch.tensor([0.5, 1.0]), torch.tensor(0.5), None, edges, None
    )
    by_view = torch.autograd.grad(out.sum(), source, retain_graph=True)[0]
    torch.testing.assert_close(by_view, torch.autograd.grad(out, source, torch.ones_like(out))[0])

import os

import numpy as np
import pytest
import torch

os.environ.setdefault("DGLBACKEND", "pytorch")
from recsys.graph.dgl_graph import dgl
from recsys.model import softmax
from recsys.model.edges import edges_of
from recsys.model.softmax import EdgeSum, RectifiedScores, SoftmaxMixture
from recsys.model.textbook import GATLayer, GATv2Layer


def random_edges(rows: int, columns: int, share: float = 0.4) -> np.ndarray:
    dense = (np.random.default_rng(0).random((rows, columns)) < share).astype(float)
    dense[0] = 0
    dense[:, 1] = 0
    return dense


def dgl_block(dense: np.ndarray):
    row, column = np.nonzero(dense)
    counts = {"item": dense.shape[1], "user": dense.shape[0]}
    return dgl.heterograph(
        {("item", "to", "user"): (torch.from_numpy(column), torch.from_numpy(row))}, counts
    )


def copy_gat(layer: GATLayer, theirs) -> None:
    with torch.no_grad():
        layer.source.weight.copy_(theirs.fc_src.weight)
        layer.target.weight.copy_(theirs.fc_dst.weight)
        layer.left.copy_(theirs.attn_l[0])
        layer.right.copy_(theirs.attn_r[0])
        layer.bias.copy_(theirs.bias)


def copy_gatv2(layer: GATv2Layer, theirs) -> None:
    with torch.no_grad():
        for ours, other in ((layer.source, theirs.fc_src), (layer.target, theirs.fc_dst)):
            ours.weight.copy_(other.weight)
            ours.bias.copy_(other.bias)
        layer.attend.copy_(theirs.attn[0])


LAYERS = {
    "gat": (GATLayer, dgl.nn.GATConv, copy_gat),
    "gatv2": (GATv2Layer, dgl.nn.GATv2Conv, copy_gatv2),
}


@pytest.mark.parametrize("family", LAYERS)
@pytest.mark.parametrize("at_once", [3, 1 << 15])
def test_equals_dgl(make_messages, monkeypatch, family, at_once):
    """Same weights, same answer, and the same gradients at states and weights; also when edges come
    in short runs.
    """
    monkeypatch.setattr(softmax, "_SCORED_AT_ONCE", at_once)
    ours, theirs, copy = LAYERS[family]
    theirs = theirs((6, 6), 4, 3, allow_zero_in_degree=True)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    layer = ours(6, 3, 4)
    copy(layer, theirs)
    dense = random_edges(11, 13)
    states = [
        [
            torch.randn(n, 6, generator=torch.Generator().manual_seed(n)).requires_grad_()
            for n in (13, 11)
        ]
        for _ in "ab"
    ]
    out, expected = (
        layer(*states[0], make_messages(dense)),
        theirs(dgl_block(dense), tuple(states[1])).flatten(1),
    )
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    weighing = torch.randn_like(out)
    for one in (out, expected):
        (one * weighing).sum().backward()
    for found, other in zip(*states, strict=True):
        torch.testing.assert_close(found.grad, other.grad, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(
        layer.source.weight.grad, theirs.fc_src.weight.grad, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        layer.target.weight.grad, theirs.fc_dst.weight.grad, atol=1e-4, rtol=1e-4
    )


def test_gradients_of_the_parts(make_messages):
    edges = edges_of(make_messages(random_edges(5, 6)))
    count = len(edges.weight)

    def double(*shape):
        return torch.randn(*shape, dtype=torch.double, requires_grad=True)

    keep = torch.randint(0, 2, (2, count)).double() * 2
    for factors in (None, keep):
        assert torch.autograd.gradcheck(
            lambda x, h, factors=factors: SoftmaxMixture.apply(x, h, edges, factors),
            [double(2, count), double(6, 4)],
        )
    assert torch.autograd.gradcheck(
        lambda x, y: EdgeSum.apply(x, y, edges), [double(6, 2), double(5, 2)]
    )
    assert torch.autograd.gradcheck(
        lambda x, y, a: RectifiedScores.apply(x, y, a, edges),
        [double(6, 4), double(5, 4), double(2, 2)],
    )


def test_high_logits_do_not_overflow(make_messages):
    edges = edges_of(make_messages(np.ones((2, 3))))
    logits = torch.tensor([[500.0, 0.0, 0.0, -500.0, -500.0, -600.0]])
    out = SoftmaxMixture.apply(logits, torch.tensor([[1.0], [2.0], [4.0]]), edges, None)
    assert out[:, 0].tolist() == pytest.approx([1.0, 1.5])


@pytest.mark.parametrize("kind", [GATLayer, GATv2Layer])
def test_targets_without_neighbours(make_messages, kind):
    layer = kind(6, 2, 3)
    out = layer(torch.randn(4, 6), torch.randn(5, 6), make_messages(random_edges(5, 4)))
    assert not out[0].any()
    assert layer(torch.randn(4, 6), torch.randn(0, 6), make_messages(np.zeros((0, 4)))).shape == (
        0,
        6,
    )


def test_dropout_needs_training(make_messages):
    layer = GATLayer(6, 2, 3, dropout=0.5)
    call = (torch.randn(20, 6), torch.randn(30, 6), make_messages(random_edges(30, 20)))
    assert not torch.equal(layer(*call), layer(*call))
    layer.eval()
    assert torch.equal(layer(*call), layer(*call))

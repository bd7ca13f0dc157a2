"""The engine that draws: the same draws on every Python, and a clear word where DGL is asked for in vain."""

import sys

import numpy as np
import pytest

from engines import HAS_DGL
from recsys.core.errors import MachineError
from recsys.graph.draw import CsrDraw
from recsys.graph.engine import draw_by


@pytest.fixture
def graph(interactions_of):
    from recsys.core.config import GraphConfig
    from recsys.graph.build import build_graph

    pairs = [(user, (3 * user + step) % 17) for user in range(20) for step in range(6)]
    return build_graph(interactions_of(pairs, 20, 17), GraphConfig(), None)


@pytest.fixture
def no_dgl(monkeypatch):
    """An interpreter that cannot import DGL, as Python 3.12 and later."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "dgl"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "dgl", None)
    monkeypatch.delitem(sys.modules, "recsys.graph.dgl_graph", raising=False)


def test_the_default_draws_the_same_without_dgl(graph, no_dgl):
    rows = np.arange(17)
    expected = CsrDraw(graph)(graph.target, rows, 3, (1, 2))
    drawn = draw_by("csr", graph)(graph.target, rows, 3, (1, 2))
    assert drawn.position.tolist() == expected.position.tolist()


def test_dgl_asked_for_in_vain_is_refused_and_not_replaced(graph, no_dgl):
    with pytest.raises(MachineError, match=r'train\.sampler = "csr"'):
        draw_by("dgl", graph)


@pytest.mark.skipif(not HAS_DGL, reason="DGL has no wheels for this Python")
def test_dgl_serves_where_it_is(graph):
    drawn = draw_by("dgl", graph)(graph.target, np.arange(17), -1, (0,))
    assert drawn.per_row.tolist() == graph.relations[graph.target].indptr.diff().tolist()

"""Which engine draws neighbours: plain arrays, which is there on every Python, or DGL where it is
installed.

The default, "csr", draws from the edge lists: the same draws, and so the same bundle, whether or not
DGL is there. DGL 1.1.3, the last one that works with a current torch, has wheels for Python 3.11 at
most; `train.sampler = "dgl"` is refused elsewhere rather than answered by other draws.
"""

from typing import Literal

from recsys.core.errors import MachineError
from recsys.graph.draw import CsrDraw, Draw
from recsys.graph.schema import Graph

Sampler = Literal["csr", "dgl"]


def draw_by(sampler: Sampler, graph: Graph) -> Draw:
    """The way to draw edges that a configuration names. Raises MachineError for DGL where it cannot
    be imported.
    """
    if sampler == "csr":
        return CsrDraw(graph)
    try:
        # Here, so that training without it never loads DGL.
        from recsys.graph.dgl_graph import DglDraw
    except (ImportError, OSError) as error:
        raise MachineError(
            f'train.sampler = "dgl": DGL cannot be imported ({error})',
            'Use train.sampler = "csr", which draws alike on any Python, or Python 3.11 with dgl==1.1.3',
        ) from error
    return DglDraw(graph)

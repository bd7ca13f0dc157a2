"""The graph as a DGL heterograph, and drawing by DGL: the only module that imports dgl."""

import os
import warnings

import numpy as np
import torch

from recsys.core.arrays import Int64Array
from recsys.graph.draw import Drawn
from recsys.graph.schema import EdgeType, Graph

# DGL reads it at import; without it, it writes a configuration file into the home folder.
os.environ.setdefault("DGLBACKEND", "pytorch")

with warnings.catch_warnings():
    # Python warns of one of DGL's docstrings when it compiles it for the first time.
    warnings.filterwarnings("ignore", message="invalid escape sequence")
    import dgl
    from dgl import sampling


def to_dgl(graph: Graph) -> "dgl.DGLGraph":
    """A heterograph whose edge ids are the positions in the relations' arrays; edge data "weight",
    and "time" if any.
    """
    heterograph = _structure(graph)
    for edge_type, adjacency in graph.relations.items():
        heterograph.edges[edge_type].data["weight"] = adjacency.weight
        if adjacency.time is not None:
            heterograph.edges[edge_type].data["time"] = adjacency.time
    return heterograph


def _structure(graph: Graph) -> "dgl.DGLGraph":
    wide = any(adjacency.indptr.dtype == torch.int64 for adjacency in graph.relations.values())
    in_place = torch.empty(0, dtype=torch.int32)
    edges = {
        edge_type: (
            "csc",
            (adjacency.indptr, adjacency.indices, in_place.to(adjacency.indices.dtype)),
        )
        for edge_type, adjacency in graph.relations.items()
    }
    return dgl.heterograph(
        edges, num_nodes_dict=graph.num_nodes, idtype=torch.int64 if wide else torch.int32
    )


class DglDraw:
    """Draws by dgl.sampling.sample_neighbors, reseeded at every call.

    The same key gives the same draws at the same number of OpenMP threads, on the main thread only:
    DGL keeps one random stream a thread. CsrDraw has neither restriction and is faster.
    """

    def __init__(self, graph: Graph) -> None:
        structure = _structure(graph)
        self._slices = {edge_type: structure[edge_type] for edge_type in graph.relations}

    def __call__(
        self, edge_type: EdgeType, rows: Int64Array, fanout: int, key: tuple[int, ...]
    ) -> Drawn:
        dgl.seed(int(np.random.SeedSequence(key).generate_state(1)[0]) >> 1)
        whole = self._slices[edge_type]
        drawn = sampling.sample_neighbors(
            whole, {edge_type[2]: torch.from_numpy(rows).to(whole.idtype)}, fanout
        )
        position = drawn.edata[dgl.EID].numpy().astype(np.int64)
        return _row_after_row(position, drawn.edges(order="eid")[1].numpy(), rows)


def _row_after_row(position: Int64Array, destination: Int64Array, rows: Int64Array) -> Drawn:
    """Edges grouped in the order of `rows`, which DGL does not promise."""
    place = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
    place[rows] = np.arange(len(rows))
    row = place[destination]
    return Drawn(position[np.argsort(row, kind="stable")], np.bincount(row, minlength=len(rows)))

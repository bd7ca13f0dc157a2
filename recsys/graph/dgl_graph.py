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
    idtype = torch.int32
    edges = {}
    for edge_type, adjacency in graph.relations.items():
        if adjacency.indptr.dtype == torch.int64:
            idtype = torch.int64
        # Without edge ids the position of an edge is its id.
        no_ids = torch.empty(0, dtype=adjacency.indices.dtype)
        edges[edge_type] = ("csc", (adjacency.indptr, adjacency.indices, no_ids))
    return dgl.heterograph(edges, num_nodes_dict=graph.num_nodes, idtype=idtype)


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
        [seed] = np.random.SeedSequence(key).generate_state(1)
        dgl.seed(int(seed) >> 1)
        relation = self._slices[edge_type]
        seeds = torch.from_numpy(rows).to(relation.idtype)
        sample = sampling.sample_neighbors(relation, {edge_type[2]: seeds}, fanout)
        position = sample.edata[dgl.EID].numpy().astype(np.int64)
        _, destination = sample.edges(order="eid")
        return _row_after_row(position, destination.numpy(), rows)


def _row_after_row(position: Int64Array, destination: Int64Array, rows: Int64Array) -> Drawn:
    """Edges grouped in the order of `rows`, which DGL does not promise."""
    row_of_node = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
    row_of_node[rows] = np.arange(len(rows))
    row = row_of_node[destination]
    order = np.argsort(row, kind="stable")
    return Drawn(position[order], np.bincount(row, minlength=len(rows)))

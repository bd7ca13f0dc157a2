"""Relations among few nodes: a layer over the nodes that have an edge costs what they are, not what
all nodes are.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from recsys.graph.schema import Adjacency, Messages
from recsys.model.attention import Prepared

_MOST = 0.75  # of the nodes at both ends; above it, taking some out costs more than it saves


@dataclass(frozen=True)
class Present:
    """The nodes at the ends of a relation's edges, and its edges by their places there.

    rows: (r,) destinations, ascending.
    sources: (s,) sources, ascending.
    adjacency: among these alone, its edges in the same order.
    """

    rows: Tensor
    sources: Tensor
    adjacency: Adjacency

    def of(self, messages: Messages) -> Messages:
        """The messages of the whole relation among these nodes."""
        return replace(
            messages,
            adjacency=self.adjacency,
            source_degree=messages.source_degree[self.sources],
            target_degree=messages.target_degree[self.rows],
        )


_PRESENT: WeakIdKeyDictionary = WeakIdKeyDictionary()


def pass_messages(
    attention: nn.Module,
    source: Tensor,
    target: Tensor,
    messages: Messages,
    prepared: Prepared | None = None,
) -> Tensor:
    """The messages of a relation: (num_dst, width), zeros where it has no edge.

    Args:
        attention: of the relation.
        source, target: (num_src, width), (num_dst, width) states.
        messages: its edges; blocks of a sample are taken as they are.
        prepared: what the attention may use again where it reads all nodes.
    """
    present = None if messages.row_scale is not None else _present_of(messages.adjacency)
    if present is None:
        message: Tensor = attention(source, target, messages, prepared)
        return message
    if not len(present.rows):
        return torch.zeros_like(target)
    message = attention(source[present.sources], target[present.rows], present.of(messages))
    return torch.zeros_like(target).index_copy(0, present.rows, message)


def _present_of(adjacency: Adjacency) -> Present | None:
    """Worked out once for an adjacency and kept as long as it lives; None when most nodes have an
    edge.
    """
    if adjacency not in _PRESENT:
        _PRESENT[adjacency] = _find(adjacency)
    present: Present | None = _PRESENT[adjacency]
    return present


def _find(adjacency: Adjacency) -> Present | None:
    device, indices = adjacency.indices.device, adjacency.indices.long()
    degree = adjacency.indptr.diff()
    rows = torch.nonzero(degree)[:, 0]
    has_edge = torch.zeros(adjacency.num_src, dtype=torch.bool, device=device)
    has_edge[indices] = True
    sources = torch.nonzero(has_edge)[:, 0]
    num_nodes = adjacency.num_dst + adjacency.num_src
    if len(rows) + len(sources) > _MOST * num_nodes:
        return None

    # Sources are numbered anew, rows without an edge fall out of indptr.
    number = torch.zeros(adjacency.num_src, dtype=adjacency.indices.dtype, device=device)
    number[sources] = torch.arange(len(sources), dtype=number.dtype, device=device)
    indptr = torch.zeros(len(rows) + 1, dtype=adjacency.indptr.dtype, device=device)
    indptr[1:] = degree[rows].cumsum(0)
    among = Adjacency(indptr, number[indices], adjacency.weight, len(sources), adjacency.time)
    return Present(rows, sources, among)

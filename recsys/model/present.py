"""Relations among few nodes: a layer over the nodes that have an edge costs what they are, not what
all nodes are.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from recsys.graph.schema import Adjacency, Messages

_MOST = 0.75  # of the nodes at both ends; above it, taking some out costs more than it saves


@dataclass(frozen=True)
class Present:
    """The nodes at the ends of a relation's edges, and its edges by their places there.

    rows: (r,) destinations, sources: (s,) sources, ascending; adjacency: among these alone, its
    edges in the same order.
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


def hear(
    attention: nn.Module, source: Tensor, target: Tensor, messages: Messages, *shared: object
) -> Tensor:
    """What a relation sends: (num_dst, width), zeros where it has no edge. Blocks of a sample are
    taken as they are.

    shared: what the attention may use again where it reads all nodes.
    """
    present = None if messages.row_scale is not None else _present_of(messages.adjacency)
    if present is None:
        heard: Tensor = attention(source, target, messages, *shared)
        return heard
    if not len(present.rows):
        return torch.zeros_like(target)
    some = attention(source[present.sources], target[present.rows], present.of(messages))
    return torch.zeros_like(target).index_copy(0, present.rows, some)


def _present_of(adjacency: Adjacency) -> Present | None:
    """Found once for an adjacency and kept as long as it lives; None when most nodes have an edge."""
    if adjacency not in _PRESENT:
        _PRESENT[adjacency] = _find(adjacency)
    found: Present | None = _PRESENT[adjacency]
    return found


def _find(adjacency: Adjacency) -> Present | None:
    length = adjacency.indptr.diff()
    rows = torch.nonzero(length)[:, 0]
    member = torch.zeros(adjacency.num_src, dtype=torch.bool, device=rows.device)
    member[adjacency.indices.long()] = True
    sources = torch.nonzero(member)[:, 0]
    if len(rows) + len(sources) > _MOST * (adjacency.num_dst + adjacency.num_src):
        return None
    place = torch.zeros(adjacency.num_src, dtype=adjacency.indices.dtype, device=rows.device)
    place[sources] = torch.arange(len(sources), dtype=place.dtype, device=rows.device)
    indptr = torch.zeros(len(rows) + 1, dtype=adjacency.indptr.dtype, device=rows.device)
    indptr[1:] = length[rows].cumsum(0)
    inside = Adjacency(
        indptr, place[adjacency.indices.long()], adjacency.weight, len(sources), adjacency.time
    )
    return Present(rows, sources, inside)

"""Time-respecting blocks: a node asked about at time t sees only edges before t, at every layer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from recsys.core.errors import UsageError
from recsys.graph.draw import draw_from_runs, first_not_below
from recsys.graph.sampling import fanout_of_layers
from recsys.graph.schema import (
    Adjacency,
    Block,
    EdgeType,
    Graph,
    Messages,
    NodeType,
    similar_relation,
)


class _Moments(NamedTuple):
    """Nodes as of a moment: ids (n,) and times (n,). The same node at two times is two rows of a
    block.
    """

    ids: Int64Array
    times: Int64Array


class TemporalSampler:
    """Samples blocks in which every seed has a query time that its whole neighbourhood inherits.

    Edges without a time (attributes) are always seen. The pair to predict needs no exclusion: its
    edge is not before its own time. Nothing changes between calls; the same arguments give the same
    bytes in any thread and process.
    """

    def __init__(self, graph: Graph, fanouts: Sequence[int], layers: int) -> None:
        """fanouts: as of BlockSampler. Raises UsageError for wrong ones, and for relations that are
        made of all times.
        """
        timeless = [name for source, name, _ in graph.relations if name == similar_relation(source)]
        if timeless:
            raise UsageError(
                f"the relation {timeless[0]!r} counts interactions of all times: no query time may see it",
                "Build the graph without graph.item_neighbours and graph.user_neighbours",
            )
        self._fanouts = fanout_of_layers(fanouts, layers)
        self._num_nodes = graph.num_nodes
        self._reverse = {edge_type: graph.reverse(edge_type) for edge_type in graph.relations}
        self._histories = {
            edge_type: _History(adjacency) for edge_type, adjacency in graph.relations.items()
        }

    def sample(
        self, seeds: Mapping[NodeType, Tensor], before: Mapping[NodeType, Tensor], seed: int = 0
    ) -> list[Block]:
        """L blocks, outermost first; `nodes` of the last one begin with the seeds, in their order.

        seeds, before: by node type, (n,) int64 ids and (n,) int64 query times; the pairs are
        unique. Degrees and row_scale count only edges before the time of their row, so ids may
        stand several times in `nodes`, and global_rows is None. Raises UsageError when seeds and
        times do not match.
        """
        rows = {node_type: self._moments(seeds, before, node_type) for node_type in self._num_nodes}
        moments = np.unique(np.concatenate([some.times for some in rows.values()]))
        blocks = []
        for depth, fanout in enumerate(self._fanouts):
            block, rows = self._block(rows, fanout, (seed, depth), moments)
            blocks.append(block)
        return blocks[::-1]

    def _moments(
        self,
        seeds: Mapping[NodeType, Tensor],
        before: Mapping[NodeType, Tensor],
        node_type: NodeType,
    ) -> _Moments:
        none = torch.empty(0, dtype=torch.int64)
        ids, times = seeds.get(node_type, none).numpy(), before.get(node_type, none).numpy()
        if len(ids) != len(times):
            raise UsageError(
                f"{len(ids)} {node_type!r} seeds came with {len(times)} query times",
                "Give one time for every seed",
            )
        return _Moments(ids, times)

    def _block(
        self, rows: dict[NodeType, _Moments], fanout: int, key: tuple[int, int], moments: Int64Array
    ) -> tuple[Block, dict[NodeType, _Moments]]:
        edges = {
            edge_type: history.draw(rows[edge_type[2]], fanout, (*key, place))
            for place, (edge_type, history) in enumerate(self._histories.items())
        }
        numbers = {
            node_type: _Numbers(rows[node_type], _senders(edges, node_type), moments, count)
            for node_type, count in self._num_nodes.items()
        }
        messages = {
            edge_type: self._messages(edge_type, some, numbers[edge_type[0]], rows[edge_type[2]])
            for edge_type, some in edges.items()
        }
        nodes = {
            node_type: torch.from_numpy(number.nodes.ids) for node_type, number in numbers.items()
        }
        num_dst = {node_type: len(some.ids) for node_type, some in rows.items()}
        return Block(nodes, num_dst, messages), {
            node_type: number.nodes for node_type, number in numbers.items()
        }

    def _messages(
        self, edge_type: EdgeType, edges: "_Edges", number: "_Numbers", rows: _Moments
    ) -> Messages:
        history = self._histories[edge_type]
        scale = np.where(edges.per_row > 0, history.length(rows) / np.maximum(edges.per_row, 1), 1)
        return Messages(
            Adjacency(
                indptr=torch.from_numpy(
                    np.concatenate([[0], np.cumsum(edges.per_row)]).astype(np.int32)
                ),
                indices=torch.from_numpy(number.of(edges.senders)),
                weight=torch.from_numpy(edges.weight),
                num_src=len(number.nodes.ids),
            ),
            source_degree=torch.from_numpy(
                self._histories[self._reverse[edge_type]].degree(number.nodes)
            ),
            target_degree=torch.from_numpy(history.degree(rows)),
            row_scale=torch.from_numpy(scale.astype(np.float32)),
        )


class _Edges(NamedTuple):
    """Edges of one relation in a block, row after row: edges a row, their sources as of the row's
    time, weights.
    """

    per_row: Int64Array
    senders: _Moments
    weight: Float32Array


class _History:
    """One relation with the edges of each row in order of time."""

    def __init__(self, adjacency: Adjacency) -> None:
        self._indptr = adjacency.indptr.numpy().astype(np.int64)
        order = np.arange(adjacency.num_edges)
        self._time: Int64Array | None = None
        if adjacency.time is not None:
            order = np.lexsort((adjacency.time.numpy(), adjacency.destinations().numpy()))
            self._time = adjacency.time.numpy()[order]
        self._source = adjacency.indices.numpy()[order].astype(np.int64)
        self._weight = adjacency.weight.numpy()[order]
        self._weight_before = np.concatenate([[0.0], np.cumsum(self._weight, dtype=np.float64)])

    def draw(self, rows: _Moments, fanout: int, key: tuple[int, ...]) -> _Edges:
        position, per_row = draw_from_runs(self._indptr[rows.ids], self.length(rows), fanout, key)
        senders = _Moments(self._source[position], np.repeat(rows.times, per_row))
        return _Edges(per_row, senders, self._weight[position])

    def length(self, rows: _Moments) -> Int64Array:
        """(n,) how many edges of each row are before its time."""
        start, end = self._indptr[rows.ids], self._indptr[rows.ids + 1]
        return (
            end if self._time is None else first_not_below(self._time, start, end, rows.times)
        ) - start

    def degree(self, rows: _Moments) -> Float32Array:
        """(n,) weight of the edges of each row before its time."""
        start = self._indptr[rows.ids]
        end = start + self.length(rows)
        weight: Float64Array = self._weight_before[end] - self._weight_before[start]
        return weight.astype(np.float32)


class _Numbers:
    """Local numbers: the rows first, then the other senders by (time, id)."""

    def __init__(
        self, rows: _Moments, senders: list[_Moments], moments: Int64Array, num_nodes: int
    ) -> None:
        self._moments, self._num_nodes = moments, max(num_nodes, 1)
        known = self._key(rows)
        if len(np.unique(known)) < len(known):
            raise UsageError(
                "a seed stands twice with the same query time", "Pass every (seed, time) pair once"
            )
        fresh = np.setdiff1d(np.concatenate([known[:0], *map(self._key, senders)]), known)
        time, ids = np.divmod(fresh, self._num_nodes)
        keys = np.concatenate([known, fresh])
        self.nodes = _Moments(
            np.concatenate([rows.ids, ids]), np.concatenate([rows.times, moments[time]])
        )
        self._order = np.argsort(keys).astype(np.int32)
        self._sorted = keys[self._order]

    def of(self, moments: _Moments) -> Int32Array:
        """(n,) local numbers of nodes of the block."""
        return self._order[np.searchsorted(self._sorted, self._key(moments))]

    def _key(self, some: _Moments) -> Int64Array:
        return np.searchsorted(self._moments, some.times) * self._num_nodes + some.ids


def _senders(edges: dict[EdgeType, _Edges], node_type: NodeType) -> list[_Moments]:
    return [some.senders for edge_type, some in edges.items() if edge_type[0] == node_type]

"""Time-respecting blocks: a node asked about at time t sees only edges before t, at every layer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from recsys.core.distinct import distinct
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
    """Nodes as of a moment; the same node at two times is two rows of a block.

    ids: (n,).
    times: (n,) unix seconds.
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
        self._reverse: dict[EdgeType, EdgeType] = {}
        self._histories: dict[EdgeType, _EdgeHistory] = {}
        for edge_type, adjacency in graph.relations.items():
            self._reverse[edge_type] = graph.reverse(edge_type)
            self._histories[edge_type] = _EdgeHistory(adjacency)

    def sample(
        self, seeds: Mapping[NodeType, Tensor], before: Mapping[NodeType, Tensor], seed: int = 0
    ) -> list[Block]:
        """L blocks, outermost first; `nodes` of the last one begin with the seeds, in their order.

        seeds, before: by node type, (n,) int64 ids and (n,) int64 query times; the pairs are
        unique. Degrees and row_scale count only edges before the time of their row, so ids may
        stand several times in `nodes`, and global_rows is None. Raises UsageError when seeds and
        times do not match.
        """
        rows = {}
        for node_type in self._num_nodes:
            rows[node_type] = self._seed_moments(seeds, before, node_type)
        all_times = np.concatenate([nodes.times for nodes in rows.values()])
        times = distinct(all_times)
        blocks = []
        for depth, fanout in enumerate(self._fanouts):
            block, rows = self._block(rows, fanout, (seed, depth), times)
            blocks.append(block)
        return blocks[::-1]

    def _seed_moments(
        self,
        seeds: Mapping[NodeType, Tensor],
        before: Mapping[NodeType, Tensor],
        node_type: NodeType,
    ) -> _Moments:
        nothing = torch.empty(0, dtype=torch.int64)
        ids = seeds.get(node_type, nothing).numpy()
        times = before.get(node_type, nothing).numpy()
        if len(ids) != len(times):
            raise UsageError(
                f"{len(ids)} {node_type!r} seeds came with {len(times)} query times",
                "Give one time for every seed",
            )
        return _Moments(ids, times)

    def _block(
        self, rows: dict[NodeType, _Moments], fanout: int, key: tuple[int, int], times: Int64Array
    ) -> tuple[Block, dict[NodeType, _Moments]]:
        """The block into `rows`, and its sources.

        Args:
            rows: by node type, the destinations.
            fanout: edges a row.
            key: of the draws.
            times: all query times, ascending.
        """
        edges: dict[EdgeType, _Edges] = {}
        for number, (edge_type, history) in enumerate(self._histories.items()):
            edges[edge_type] = history.draw(rows[edge_type[2]], fanout, (*key, number))
        numberings = {}
        for node_type, count in self._num_nodes.items():
            sources = _sources(edges, node_type)
            numberings[node_type] = _Numbering(rows[node_type], sources, times, count)
        messages = {}
        for edge_type, relation_edges in edges.items():
            source, _, destination = edge_type
            messages[edge_type] = self._messages(
                edge_type, relation_edges, numberings[source], rows[destination]
            )
        nodes = {node_type: numbering.nodes for node_type, numbering in numberings.items()}
        ids = {node_type: torch.from_numpy(moments.ids) for node_type, moments in nodes.items()}
        num_dst = {node_type: len(moments.ids) for node_type, moments in rows.items()}
        return Block(ids, num_dst, messages), nodes

    def _messages(
        self, edge_type: EdgeType, edges: "_Edges", numbering: "_Numbering", rows: _Moments
    ) -> Messages:
        """The edges as tensors with local numbers."""
        history = self._histories[edge_type]
        reverse_history = self._histories[self._reverse[edge_type]]
        indptr = np.concatenate([[0], np.cumsum(edges.per_row)]).astype(np.int32)
        adjacency = Adjacency(
            indptr=torch.from_numpy(indptr),
            indices=torch.from_numpy(numbering.of(edges.sources)),
            weight=torch.from_numpy(edges.weight),
            num_src=len(numbering.nodes.ids),
        )
        in_graph = history.length(rows) / np.maximum(edges.per_row, 1)
        scale = np.where(edges.per_row > 0, in_graph, 1)
        return Messages(
            adjacency,
            source_degree=torch.from_numpy(reverse_history.degree(numbering.nodes)),
            target_degree=torch.from_numpy(history.degree(rows)),
            row_scale=torch.from_numpy(scale.astype(np.float32)),
        )


class _Edges(NamedTuple):
    """Edges of one relation in a block, row after row.

    per_row: (rows,) edges a row.
    sources: (edges,) as of the row's time.
    weight: (edges,).
    """

    per_row: Int64Array
    sources: _Moments
    weight: Float32Array


class _EdgeHistory:
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
        start = self._indptr[rows.ids]
        position, per_row = draw_from_runs(start, self.length(rows), fanout, key)
        sources = _Moments(self._source[position], np.repeat(rows.times, per_row))
        return _Edges(per_row, sources, self._weight[position])

    def length(self, rows: _Moments) -> Int64Array:
        """(n,) how many edges of each row are before its time."""
        start, end = self._indptr[rows.ids], self._indptr[rows.ids + 1]
        if self._time is None:
            return end - start
        return first_not_below(self._time, start, end, rows.times) - start

    def degree(self, rows: _Moments) -> Float32Array:
        """(n,) weight of the edges of each row before its time."""
        start = self._indptr[rows.ids]
        end = start + self.length(rows)
        weight: Float64Array = self._weight_before[end] - self._weight_before[start]
        return weight.astype(np.float32)


class _Numbering:
    """Local numbers: the rows first, then the other sources by (time, id)."""

    def __init__(
        self, rows: _Moments, sources: list[_Moments], times: Int64Array, num_nodes: int
    ) -> None:
        """Number the nodes of a block.

        Args:
            rows: the destinations.
            sources: of the edges of each relation.
            times: all query times, ascending.
            num_nodes: nodes of this type.
        """
        self._times = times
        self._num_nodes = max(num_nodes, 1)
        row_keys = self._key(rows)
        if len(distinct(row_keys)) < len(row_keys):
            raise UsageError(
                "a seed stands twice with the same query time", "Pass every (seed, time) pair once"
            )
        source_keys = distinct(np.empty(0, np.int64), *map(self._key, sources))
        new_keys = np.setdiff1d(source_keys, row_keys, assume_unique=True)
        time_number, new_ids = np.divmod(new_keys, self._num_nodes)
        self.nodes = _Moments(
            ids=np.concatenate([rows.ids, new_ids]),
            times=np.concatenate([rows.times, times[time_number]]),
        )
        keys = np.concatenate([row_keys, new_keys])
        self._order = np.argsort(keys).astype(np.int32)
        self._sorted = keys[self._order]

    def of(self, moments: _Moments) -> Int32Array:
        """(n,) local numbers of nodes of the block."""
        return self._order[np.searchsorted(self._sorted, self._key(moments))]

    def _key(self, moments: _Moments) -> Int64Array:
        """(n,) a number for each pair of time and id, in that order."""
        time_number = np.searchsorted(self._times, moments.times)
        return time_number * self._num_nodes + moments.ids


def _sources(edges: dict[EdgeType, _Edges], node_type: NodeType) -> list[_Moments]:
    """Sources of that type, a list for each relation."""
    sources = []
    for edge_type, relation_edges in edges.items():
        if edge_type[0] == node_type:
            sources.append(relation_edges.sources)
    return sources

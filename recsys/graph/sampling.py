"""Neighbour-sampled blocks: what a mini-batch needs of the graph, without the edges it is asked to
predict.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.core.errors import UsageError
from recsys.graph.draw import ALL, CsrDraw, Draw, Drawn, find_edges
from recsys.graph.schema import (
    Adjacency,
    Block,
    EdgeType,
    Graph,
    Messages,
    NodeType,
    reverse,
    source_degrees,
    target_degrees,
)

Exclusions = dict[EdgeType, BoolArray]


def fanout_of_layers(fanouts: Sequence[int], layers: int) -> list[int]:
    """(layers,) one fan-out a layer, the seeds' first; the last given repeats. Raises UsageError
    for wrong ones.
    """
    if not fanouts or any(fanout != ALL and fanout < 1 for fanout in fanouts):
        raise UsageError(
            f"fanouts = {list(fanouts)} are not all −1 or above 0", "Give for example 20,10"
        )
    return [fanouts[min(depth, len(fanouts) - 1)] for depth in range(layers)]


class BlockSampler:
    """Samples the blocks of L layers of message passing around seed nodes.

    Nothing changes between calls: the same arguments give the same bytes in any thread and process,
    and several threads may sample at once.
    """

    def __init__(
        self, graph: Graph, fanouts: Sequence[int], layers: int, draw: Draw | None = None
    ) -> None:
        """fanouts: neighbours drawn per relation, seeds' layer first, −1 for all; the last repeats
        for further layers.

        draw: how edges are drawn; CsrDraw by default. Raises UsageError for fan-outs that are not
        −1 or above 0.
        """
        self._graph = graph
        self._fanouts = fanout_of_layers(fanouts, layers)
        self._draw = CsrDraw(graph) if draw is None else draw
        self._relations = {}
        for edge_type, adjacency in graph.relations.items():
            self._relations[edge_type] = _Relation(adjacency)

    def sample(
        self,
        seeds: Mapping[NodeType, Tensor],
        exclude: tuple[Tensor, Tensor] | None = None,
        seed: int = 0,
    ) -> list[Block]:
        """L blocks, the outermost layer first; `nodes` of the last one begin with the seeds, in
        their order.

        row_scale is the row's number of neighbours in the full graph / number of edges in the
        block, so that in-block mass × row_scale estimates the mass at inference, where nothing is
        excluded; 1 for rows without an edge. New nodes of a layer come in ascending order; sources
        within a row are in no particular order. Edges carry no times.

        Args:
            seeds: by node type, (n,) int64 unique ids.
            exclude: (pairs,) users and (pairs,) items whose edges under the target relation and its
                reverse are in no block; pairs without an edge are ignored.
            seed: of the draws.

        Raises:
            UsageError: seeds are not unique, or a type is unknown.
        """
        nodes = self._check_seeds(seeds)
        excluded = self._positions(exclude)
        blocks = []
        for depth, fanout in enumerate(self._fanouts):
            block, nodes = self._block(nodes, fanout, (seed, depth), excluded)
            blocks.append(block)
        return blocks[::-1]

    def _check_seeds(self, seeds: Mapping[NodeType, Tensor]) -> dict[NodeType, Int64Array]:
        unknown = [node_type for node_type in seeds if node_type not in self._graph.num_nodes]
        if unknown:
            raise UsageError(
                f"the graph has no node type {unknown[0]!r}",
                f"It has {sorted(self._graph.num_nodes)}",
            )
        no_seeds = torch.empty(0, dtype=torch.int64)
        checked = {}
        for node_type, count in self._graph.num_nodes.items():
            ids = seeds.get(node_type, no_seeds).numpy()
            is_seed = _members(count, [ids])
            if np.count_nonzero(is_seed) < len(ids):
                raise UsageError(
                    f"the {node_type!r} seeds are not unique", "Pass torch.unique(seeds)"
                )
            checked[node_type] = ids
        return checked

    def _positions(self, exclude: tuple[Tensor, Tensor] | None) -> Exclusions:
        """A mask over the edges of the target relation and of its reverse."""
        if exclude is None:
            return {}
        users = exclude[0].numpy().astype(np.int64, copy=False)
        items = exclude[1].numpy().astype(np.int64, copy=False)
        into_items = self._graph.target
        into_users = reverse(into_items)
        return {
            into_items: self._mask(into_items, rows=items, columns=users),
            into_users: self._mask(into_users, rows=users, columns=items),
        }

    def _mask(self, edge_type: EdgeType, rows: Int64Array, columns: Int64Array) -> BoolArray:
        adjacency = self._graph.relations[edge_type]
        mask = np.zeros(adjacency.num_edges, bool)
        mask[find_edges(adjacency, rows, columns)] = True
        return mask

    def _block(
        self,
        rows: dict[NodeType, Int64Array],
        fanout: int,
        key: tuple[int, int],
        excluded: Exclusions,
    ) -> tuple[Block, dict[NodeType, Int64Array]]:
        """The block into `rows`, and its sources.

        Args:
            rows: by node type, ids of the destinations.
            fanout: edges a row.
            key: of the draws.
            excluded: by edge type, which edges are in no block.
        """
        edges: dict[EdgeType, _Edges] = {}
        for number, edge_type in enumerate(self._relations):
            destinations = rows[edge_type[2]]
            relation_key = (*key, number)
            edges[edge_type] = self._edges(
                edge_type, destinations, fanout, relation_key, excluded.get(edge_type)
            )
        numbering = _Numbering(self._graph.num_nodes, rows, edges)
        messages = {}
        for edge_type, relation in self._relations.items():
            source, _, destination = edge_type
            messages[edge_type] = relation.messages(
                edges[edge_type], numbering, source, rows[destination]
            )
        nodes = {node_type: torch.from_numpy(ids) for node_type, ids in numbering.nodes.items()}
        num_dst = {node_type: len(ids) for node_type, ids in rows.items()}
        return Block(nodes, num_dst, messages), numbering.nodes

    def _edges(
        self,
        edge_type: EdgeType,
        rows: Int64Array,
        fanout: int,
        key: tuple[int, ...],
        excluded: BoolArray | None,
    ) -> "_Edges":
        """Edges drawn into `rows`.

        Args:
            edge_type: the relation.
            rows: ids of the destinations.
            fanout: edges a row.
            key: of the draws.
            excluded: (edges of the relation,) which are left out; None for none.
        """
        drawn = self._draw(edge_type, rows, fanout, key)
        if excluded is not None:
            drawn = _without(drawn, excluded)
        sources = self._relations[edge_type].indices.take(drawn.position)
        return _Edges(drawn.position, drawn.per_row, sources.astype(np.int64))


class _Edges(NamedTuple):
    """Edges of one relation in a block.

    position: (edges,) in the relation's arrays, row after row.
    per_row: (rows,) edges a row.
    sources: (edges,) global ids.
    """

    position: Int64Array
    per_row: Int64Array
    sources: Int64Array


class _Numbering:
    """Local numbers of the nodes of a block: the destinations first, then what else sends,
    ascending.

    nodes: by type, (n,) global ids by local number. local: by type, (nodes of the graph,) int32
    local number by global id, undefined where a node is not in the block.
    """

    def __init__(
        self,
        num_nodes: dict[NodeType, int],
        rows: dict[NodeType, Int64Array],
        edges: dict[EdgeType, _Edges],
    ) -> None:
        self.nodes: dict[NodeType, Int64Array] = {}
        self.local: dict[NodeType, Int32Array] = {}
        for node_type, count in num_nodes.items():
            sources = []
            for edge_type, relation_edges in edges.items():
                if edge_type[0] == node_type:
                    sources.append(relation_edges.sources)
            is_new = _members(count, sources)
            is_new[rows[node_type]] = False
            nodes = np.concatenate([rows[node_type], np.flatnonzero(is_new)])
            local = np.empty(count, np.int32)
            local[nodes] = np.arange(len(nodes), dtype=np.int32)
            self.nodes[node_type] = nodes
            self.local[node_type] = local


def _members(count: int, lists: Sequence[Int64Array]) -> BoolArray:
    """(count,) which nodes are in any of the lists."""
    is_member = np.zeros(count, bool)
    for ids in lists:
        is_member[ids] = True
    return is_member


class _Relation:
    """One relation ready for sampling: arrays, and the degrees in the full graph."""

    def __init__(self, adjacency: Adjacency) -> None:
        self.indices = adjacency.indices.numpy()
        self._length = adjacency.indptr.diff().numpy()
        self._weight = adjacency.weight.numpy()
        self._constant = adjacency.num_edges > 0 and bool((self._weight == self._weight[0]).all())
        self._source_degree = source_degrees(adjacency).numpy()
        self._target_degree = target_degrees(adjacency).numpy()

    def messages(
        self, edges: _Edges, numbering: _Numbering, source: NodeType, rows: Int64Array
    ) -> Messages:
        """The edges as tensors with local numbers.

        numpy gathers: torch's threads would wait for the optimiser's.

        Args:
            edges: of this relation in the block.
            numbering: of the block's nodes.
            source: node type of the sources.
            rows: global ids of the destinations.
        """
        sources = numbering.nodes[source]
        indptr = np.concatenate([[0], np.cumsum(edges.per_row)]).astype(np.int32)
        local_sources = numbering.local[source].take(edges.sources)
        adjacency = Adjacency(
            indptr=torch.from_numpy(indptr),
            indices=torch.from_numpy(local_sources),
            weight=torch.from_numpy(self._weights(edges.position)),
            num_src=len(sources),
        )
        # Degree in the graph / edges in the block: an estimate of the whole neighbourhood's sum.
        in_graph = self._length[rows] / np.maximum(edges.per_row, 1)
        scale = np.where(edges.per_row > 0, in_graph, 1)
        return Messages(
            adjacency,
            source_degree=torch.from_numpy(self._source_degree[sources]),
            target_degree=torch.from_numpy(self._target_degree[rows]),
            row_scale=torch.from_numpy(scale.astype(np.float32)),
            global_rows=torch.from_numpy(rows),
        )

    def _weights(self, position: Int64Array) -> Float32Array:
        if self._constant:
            return np.full(len(position), self._weight[0])
        return self._weight.take(position)


def _without(drawn: Drawn, excluded: BoolArray) -> Drawn:
    """What was drawn, less the excluded edges."""
    left_out = np.flatnonzero(excluded.take(drawn.position))
    # Rows lie behind each other: the row of a position is the first that ends behind it.
    row = np.searchsorted(np.cumsum(drawn.per_row), left_out, side="right")
    fewer = np.bincount(row, minlength=len(drawn.per_row))
    return Drawn(np.delete(drawn.position, left_out), drawn.per_row - fewer)

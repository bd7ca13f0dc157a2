"""The typed graph as plain tensors: what the model reads, on any device, without dgl."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from recsys.core.features import FeatureColumn
from recsys.core.tables import Drops

NodeType = str
EdgeType = tuple[str, str, str]
"""(source node type, relation, destination node type); the relation name alone is unique within a
graph.
"""
AttributeLabels = dict[NodeType, tuple[str, ...]]
"""Value of each attribute node, ascending text order, by node type ("item:genres")."""

USER: NodeType = "user"
ITEM: NodeType = "item"


def reverse(edge_type: EdgeType) -> EdgeType:
    """("user", "buy", "item") ↔ ("item", "rev_buy", "user"). Symmetric relations have none: see
    Graph.reverse.
    """
    source, relation, destination = edge_type
    is_reverse = relation.startswith("rev_")
    name = relation.removeprefix("rev_") if is_reverse else f"rev_{relation}"
    return destination, name, source


def similar_relation(node_type: NodeType) -> str:
    """The symmetric relation between nodes that share interactions of the phase, whenever they
    were.
    """
    return f"similar_{node_type}s"


@dataclass(frozen=True)
class Adjacency:
    """Edges of one relation, grouped by destination (CSR rows are destinations, columns are
    sources).

    indptr: (num_dst + 1,) int32, int64 above 2³¹ edges.
    indices: (edges,) source ids of the same type, ascending within a row but for sampled blocks,
        where they come in any order.
    weight: (edges,) float32 > 0.
    num_src: number of sources.
    time: (edges,) int64 unix seconds, or None.
    """

    indptr: Tensor
    indices: Tensor
    weight: Tensor
    num_src: int
    time: Tensor | None = None

    @property
    def num_dst(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        return len(self.indices)

    def destinations(self) -> Tensor:
        """(edges,) int64 destination of each edge."""
        return torch.repeat_interleave(
            torch.arange(self.num_dst, device=self.indptr.device), self.indptr.diff()
        )

    def to(self, device: torch.device | str) -> "Adjacency":
        return replace(
            self,
            indptr=self.indptr.to(device),
            indices=self.indices.to(device),
            weight=self.weight.to(device),
            time=None if self.time is None else self.time.to(device),
        )


@dataclass(frozen=True)
class Places:
    """Where the edges of a relation stand in the histories of its users.

    rank: (edges,) int64, how many of the user's events are later.
    gap: (edges,) int64, bucket of the time to the latest of them (`core.history.gap_bucket`); None
        where times do not count.
    """

    rank: Tensor
    gap: Tensor | None = None

    def to(self, device: torch.device | str) -> "Places":
        gap = None if self.gap is None else self.gap.to(device)
        return Places(self.rank.to(device), gap)


@dataclass(frozen=True)
class Messages:
    """One relation of one layer: local edges, and the full-graph quantities its degree prior needs.

    adjacency: local ids, sources numbered as in Block.nodes[source type], destinations as its first
        num_dst.
    source_degree: (num_src,) weighted degrees in the FULL graph.
    target_degree: (num_dst,) weighted degrees in the FULL graph.
    row_scale: (num_dst,) full number of neighbours / number in the block; 1 where the block has
        none.
    global_rows: (num_dst,) ids of the destinations in the full graph; None when the block is the
        full graph, or when its neighbourhoods end at a query time.
    keep: (edges,) float32 factor on the message of each edge, 0 where it is dropped for a step of
        training; None for 1.
    places: of the edges; None for a relation whose edges have no order.
    recency: (edges,) what a network has made of the places: a logarithm that is added to that of
        the edges' weights; None for 0.
    """

    adjacency: Adjacency
    source_degree: Tensor
    target_degree: Tensor
    row_scale: Tensor | None = None
    global_rows: Tensor | None = None
    keep: Tensor | None = None
    places: Places | None = None
    recency: Tensor | None = None


@dataclass(frozen=True)
class Block:
    """One layer of message passing.

    In a full-graph block nodes are all nodes in order. Blocks of a sample are nested: the
    destinations of one block are the sources of the next, and the seeds come first in every one.

    nodes: by node type, (n,) int64 global ids of the sources, the destinations first.
    num_dst: by node type, number of destinations.
    messages: by edge type.
    """

    nodes: dict[NodeType, Tensor]
    num_dst: dict[NodeType, int]
    messages: dict[EdgeType, Messages]


@dataclass(frozen=True)
class Features:
    """What tables say of the nodes of one type, as numbers.

    columns: in the order of `values`.
    values: (n, Σ widths) float32.
    """

    columns: tuple[FeatureColumn, ...]
    values: Tensor


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a phase.

    num_nodes: by node type.
    relations: by edge type, each but symmetric ones with its reverse.
    target: the relation to predict.
    labels: what each attribute node stands for.
    drops: rows and nodes that gave no edge, by reason.
    features: by type of the nodes that have any.
    """

    num_nodes: dict[NodeType, int]
    relations: dict[EdgeType, Adjacency]
    target: EdgeType
    labels: AttributeLabels = field(default_factory=dict)
    drops: Drops = field(default_factory=Drops)
    features: dict[NodeType, Features] = field(default_factory=dict)

    @property
    def num_edges(self) -> int:
        return sum(adjacency.num_edges for adjacency in self.relations.values())

    def reverse(self, edge_type: EdgeType) -> EdgeType:
        """The relation that holds the same edges the other way round: itself when symmetric."""
        reversed_type = reverse(edge_type)
        return reversed_type if reversed_type in self.relations else edge_type

    def base_relation(self, node_type: NodeType) -> EdgeType | None:
        """The relation into `node_type` whose output is taken ungated: the target, its reverse,
        else the first.
        """
        return base_relation(list(self.relations), self.target, node_type)

    def to(self, device: torch.device | str) -> "Graph":
        relations = {key: adjacency.to(device) for key, adjacency in self.relations.items()}
        return replace(self, relations=relations)


def base_relation(
    relations: list[EdgeType], target: EdgeType, node_type: NodeType
) -> EdgeType | None:
    """The same from the edge types alone."""
    into = [edge_type for edge_type in relations if edge_type[2] == node_type]
    preferred = [edge_type for edge_type in into if edge_type in (target, reverse(target))]
    return next(iter(preferred + into), None)


def source_degrees(adjacency: Adjacency) -> Tensor:
    """(num_src,) float32 sum of the weights of each source's edges."""
    degrees = torch.zeros(adjacency.num_src, dtype=torch.float64, device=adjacency.weight.device)
    return degrees.index_add_(0, adjacency.indices.long(), adjacency.weight.double()).float()


def target_degrees(adjacency: Adjacency) -> Tensor:
    """(num_dst,) float32 sum of the weights of each destination's edges."""
    degrees = torch.zeros(adjacency.num_dst, dtype=torch.float64, device=adjacency.weight.device)
    return degrees.index_add_(0, adjacency.destinations(), adjacency.weight.double()).float()


def full_block(graph: Graph) -> Block:
    """The whole graph as one block: every node is source and destination."""
    messages = {}
    for edge_type, adjacency in graph.relations.items():
        degrees = source_degrees(adjacency), target_degrees(adjacency)
        messages[edge_type] = Messages(adjacency, *degrees)
    device = graph.relations[graph.target].indptr.device
    nodes = {}
    for node_type, count in graph.num_nodes.items():
        nodes[node_type] = torch.arange(count, device=device)
    return Block(nodes, dict(graph.num_nodes), messages)


def block_to(block: Block, device: torch.device) -> Block:
    """The block on a device."""
    if block.nodes and next(iter(block.nodes.values())).device == device:
        return block
    nodes = {kind: ids.to(device) for kind, ids in block.nodes.items()}
    messages = {}
    for edge_type, of_relation in block.messages.items():
        messages[edge_type] = _messages_to(of_relation, device)
    return Block(nodes, block.num_dst, messages)


def _messages_to(messages: Messages, device: torch.device) -> Messages:
    moved = {}
    for name, value in vars(messages).items():
        if value is not None:
            moved[name] = value.to(device)
    return replace(messages, **moved)

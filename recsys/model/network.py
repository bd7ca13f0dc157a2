"""The whole network: layer-0 tables, layers, and their learnt average."""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.core.arrays import Float32Array
from recsys.core.config import ModelConfig
from recsys.core.errors import UsageError
from recsys.graph.schema import USER, Block, EdgeType, Features, Graph, NodeType, full_block
from recsys.model.layer import Layer, States, table_name
from recsys.model.rows import Rows
from recsys.model.scaling import unit_rows

_START_DEVIATION = 0.1


class Network(nn.Module):
    """z_v = Σ_{l=0..L} layer_weights[l] h_v^l, of unit length when similarity is "cosine".

    h^0 are learnt tables (and features), h^l comes from `Layer`; the exact mathematics stands in
    recsys.core.encoder.

    Args:
        num_nodes: nodes by type.
        relations: every edge type, reverses included.
        target: the relation to predict.
        config: what the model is.
        seed: of the normal draws (deviation 0.1) that tables start from, and of the textbook
            layers' weights.
        features: numbers of the nodes of some types; e = table + features · projection, the
            projection starting at 0.
    """

    def __init__(
        self,
        num_nodes: dict[NodeType, int],
        relations: list[EdgeType],
        target: EdgeType,
        config: ModelConfig,
        seed: int = 0,
        features: Mapping[NodeType, Features] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_nodes = dict(num_nodes)
        self.relations = list(relations)
        self.target = target
        self.rows = Rows()
        self.tables = nn.ParameterDict()
        self.features = nn.ModuleDict()
        for kind, numbers in (features or {}).items():
            self.features[kind] = _Projected(numbers, config.width)
        self.visitor = nn.Parameter(torch.zeros(config.width))
        self.layer_weights = nn.Parameter(torch.full((config.layers + 1,), 1 / (config.layers + 1)))
        # Module constructors draw from the global generator; its state is put back, so that nobody
        # else notices.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for node_type in sorted(self.learnt_types(), key=_order_of_draws):
                states = torch.randn(num_nodes[node_type], config.width) * _START_DEVIATION
                self.tables[table_name(node_type)] = nn.Parameter(states)
            self.layers = nn.ModuleList()
            for number in range(config.layers):
                is_last = number == config.layers - 1
                self.layers.append(Layer(self.relations, target, config, is_last))

    def learnt_types(self) -> list[NodeType]:
        """Node types whose nodes have a row of their own in a table."""
        return list(self.num_nodes)

    def load_start(self, states: dict[NodeType, Float32Array]) -> None:
        """Start the tables of some node types from given states; the visitor starts as the mean
        user.

        States of types without a table are left out. Raises UsageError when a shape differs.
        """
        for node_type, values in states.items():
            if table_name(node_type) not in self.tables:
                continue
            table = self.table(node_type)
            if values.shape != tuple(table.shape):
                raise UsageError(
                    f"start states of {node_type!r} have shape {values.shape}, not {tuple(table.shape)}"
                )
            with torch.no_grad():
                table.copy_(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))
        if USER in states and USER in self.learnt_types():
            with torch.no_grad():
                self.visitor.copy_(self.table(USER).mean(0))

    def table(self, node_type: NodeType) -> nn.Parameter:
        """(n, width) layer-0 states of a node type: the rows that lie in this process."""
        return cast(nn.Parameter, self.tables[table_name(node_type)])

    def layer0(
        self, node_type: NodeType, ids: Int[Tensor, " nodes"]
    ) -> Float[Tensor, "nodes width"]:
        """Layer-0 states of some nodes."""
        states = self.rows.some(self.table(node_type), ids)
        if node_type in self.features:
            # e = table + features · projection
            states = states + self.features[node_type](ids)
        return states

    def rows_of_all(self, node_type: NodeType) -> Float[Tensor, "nodes width"]:
        """Layer-0 states of all nodes of a type: without features the table itself, no copy."""
        states: Tensor = self.rows.every(self.table(node_type), self.num_nodes[node_type])
        if node_type in self.features:
            # e = table + features · projection
            states = states + cast(_Projected, self.features[node_type]).of_all()
        return states

    def forward(
        self, blocks: list[Block] | Block, hidden: Bool[Tensor, " users"] | None = None
    ) -> dict[NodeType, Float[Tensor, "_ width"]]:
        """Final vectors z of the destinations of the last block, by node type.

        blocks: one block of the full graph, used for every layer; or one block a layer, outermost
        first. hidden: users among the first block's nodes whose layer-0 state is replaced by
        `visitor`. Computed in float32 also under autocast: sums over thousands of neighbours do not
        fit bf16.
        """
        with torch.autocast(self.visitor.device.type, enabled=False):
            last = blocks if isinstance(blocks, Block) else blocks[-1]
            return self.average(self.layer_states(blocks, hidden), last)

    def average(self, layers: Iterable[States], last: Block) -> States:
        """Final vectors of the destinations of block `last` from the states of all layers."""
        # Σ_l b_l h^l (He et al. 2020, eq. 4, with learnt b)
        total: States = {}
        for weight, states in zip(self.layer_weights, layers, strict=True):
            for kind, count in last.num_dst.items():
                term = weight * states[kind][:count]
                total[kind] = total[kind] + term if kind in total else term
        return self.finish(total)

    def layer_states(
        self, blocks: list[Block] | Block, hidden: Tensor | None = None, noise: float = 0.0
    ) -> Iterator[States]:
        """h^0, …, h^L of the nodes of each layer, by node type; arguments as in `forward`.

        noise: length of the random vector added to what a layer gives, as a share of the state's
        own length; it points into the state's orthant (Yu et al. 2022, SimGCL, eq. 7; there of
        fixed length). Raises UsageError when the number of blocks is not that of the layers.
        """
        chain = [blocks] * self.config.layers if isinstance(blocks, Block) else blocks
        if len(chain) != self.config.layers:
            raise UsageError(f"{len(chain)} blocks for a network of {self.config.layers} layers")
        states = self._start(chain[0], isinstance(blocks, Block), hidden)
        yield states
        for layer, block in zip(self.layers, chain, strict=True):
            states = layer(states, block)
            if noise:
                states = {kind: _disturbed(rows, noise) for kind, rows in states.items()}
            yield states

    def finish(self, total: States) -> States:
        """Layer averages → final vectors: divided by their length under cosine (all-zero rows stay
        zero).
        """
        if self.config.similarity == "dot":
            return total
        return {kind: unit_rows(z) for kind, z in total.items()}

    def refresh_mass(self, graph: Graph) -> None:
        """Take the exact degree-prior mass of every full neighbourhood at the present exponents.

        Sampled blocks use it in place of an estimate until the next refresh. Costs one pass over
        the edges a layer.
        """
        block = full_block(graph.to(self.visitor.device))
        for layer in self.layers:
            for relation, messages in block.messages.items():
                cast(Layer, layer).of(relation).refresh_mass(messages)

    def open_attention(self, opened: bool) -> None:
        """Let all relations attend, or hold them to their degree prior, which is faster."""
        for layer in self.layers:
            for relation in self.relations:
                cast(Layer, layer).of(relation).open(opened)

    def weight_power(self, relation: EdgeType) -> Float[Tensor, " layers"] | None:
        """The power c of a relation's edge weights, by layer; None where it is not learnt."""
        powers = []
        for layer in self.layers:
            power = cast(Layer, layer).of(relation).weight_power
            if power is not None:
                powers.append(power)
        return torch.stack(powers) if powers else None

    def weight_powers(self) -> dict[str, float]:
        """By relation, the geometric mean of its powers over layers; empty where they are not
        learnt.
        """
        means: dict[str, float] = {}
        for relation in self.relations:
            power = self.weight_power(relation)
            if power is not None:
                means[relation[1]] = power.log().mean().exp().item()
        return means

    def _start(self, block: Block, full: bool, hidden: Tensor | None) -> States:
        """Layer-0 states of the block's nodes."""
        states: States = {}
        for kind, nodes in block.nodes.items():
            states[kind] = self.rows_of_all(kind) if full else self.layer0(kind, nodes)
        if hidden is not None and USER in states:
            states[USER] = self.as_visitors(states[USER], hidden)
        return states

    def as_visitors(self, users: Tensor, hidden: Tensor) -> Tensor:
        """Layer-0 states (users, width) with the visitor's in place of those that are hidden."""
        # A sum of products: torch.where takes ten times as long.
        mask = hidden[:, None].float()
        return users * (1 - mask) + self.visitor * mask


def _order_of_draws(node_type: NodeType) -> tuple[bool, NodeType]:
    """Users and items first: their draws stay as they are when nodes of other types join."""
    return ":" in node_type, node_type


class _Projected(nn.Module):
    """features · projection of some nodes; the features are no part of the state that is saved."""

    def __init__(self, features: Features, width: int) -> None:
        super().__init__()
        self.values: Tensor
        self.register_buffer("values", features.values, persistent=False)
        self.projection = nn.Parameter(torch.zeros(features.values.shape[1], width))

    def forward(self, ids: Tensor) -> Tensor:
        """(n,) ids → (n, width)."""
        return self.values[ids] @ self.projection

    def of_all(self) -> Tensor:
        """(nodes, width) of all nodes."""
        return self.values @ self.projection


def _disturbed(states: Tensor, share: float) -> Tensor:
    """Rows (n, width) plus a random vector of that share of their length and of their own signs."""
    fixed = states.detach()
    length: Tensor = share * torch.linalg.vector_norm(fixed, dim=1, keepdim=True)
    direction = unit_rows(torch.rand_like(fixed)) * fixed.sign()
    return states + length * direction

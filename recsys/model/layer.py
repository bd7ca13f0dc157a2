"""One layer over all relations: node-level attention in each relation, then a gated mixture of the
added ones.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from recsys.core.config import ModelConfig
from recsys.graph.schema import (
    ITEM,
    USER,
    Adjacency,
    Block,
    EdgeType,
    NodeType,
    base_relation,
)
from recsys.model.attention import DegreePriorAttention, Prepared
from recsys.model.bases import Bases
from recsys.model.mixture import Mixture, relation_factors
from recsys.model.present import pass_messages
from recsys.model.relation_attention import RelationAttention
from recsys.model.textbook import GATLayer, GATv2Layer

States = dict[NodeType, Tensor]
"""(n, width) by node type."""


class _Received(NamedTuple):
    """Messages to the nodes of one type, ungated.

    target: (num_dst, width) states of these nodes.
    base: (num_dst, width) by the base relation; None where the block has none.
    added: the same by each added relation.
    """

    target: Tensor
    base: Tensor | None
    added: dict[EdgeType, Tensor]


class Layer(nn.Module):
    """h_v = out_base(v) + Σ_{r added, N_r(v) ≠ ∅} tanh(gate_r) β_r(v) out_r(v).

    β_r(v) = softmax over the added relations present at v of κ_r cos(h_v, out_r(v)): semantic
    attention per node (Wang et al. 2019, HAN, made node-wise). Gates into users and items start at
    0, so that a graph starts as its base relations alone; those into other nodes start open: their
    messages reach users and items through gates of its own, and two closed gates in a row would
    have no gradient to open by.

    Args:
        relations: every edge type.
        target: the relation to predict; decides which relation into a type is its base.
        config: family, heads and what is learnt.
        last: whether no layer follows; textbook families end in ELU unless it is.
        attention_of: makes the attention of each relation; that of the family when absent.
    """

    def __init__(
        self,
        relations: list[EdgeType],
        target: EdgeType,
        config: ModelConfig,
        last: bool,
        attention_of: Callable[[EdgeType], RelationAttention] | None = None,
    ) -> None:
        super().__init__()

        def attention_for(relation: EdgeType) -> RelationAttention:
            return attention_of(relation) if attention_of else _family_attention(config)

        self.relations = relations
        node_types = {relation[2] for relation in relations}
        self.base = {kind: base_relation(relations, target, kind) for kind in sorted(node_types)}
        self.activate = config.family in ("gat", "gatv2") and not last
        self.attention = nn.ModuleDict()
        for relation in relations:
            self.attention[relation_name(relation)] = attention_for(relation)
        added = [relation for relation in relations if relation not in self.base.values()]
        self.gate = nn.ParameterDict()
        self.kappa = nn.ParameterDict()
        for relation in added:
            name = relation_name(relation)
            self.gate[name] = nn.Parameter(torch.tensor(_first_gate(relation)))
            self.kappa[name] = nn.Parameter(torch.zeros(()))
        self.bases = self._bases(added, config)

    def _bases(self, added: list[EdgeType], config: ModelConfig) -> Bases | None:
        if config.bases is None or not added:
            return None
        # Only degree_prior may be configured with bases.
        attentions = {}
        for relation in added:
            attention = cast(DegreePriorAttention, self.of(relation))
            attentions[relation_name(relation)] = attention
        return Bases(attentions, config.bases, config.heads)

    def forward(self, states: States, block: Block) -> States:
        """States of the sources → states of the destinations, by node type."""
        prepared = Prepared()
        output: States = {}
        for node_type in block.num_dst:
            if node_type in states:
                target = _destinations(states[node_type], block.num_dst[node_type])
                received = self._received(node_type, target, states, block, prepared)
                output[node_type] = self._combined(received, block)
        return output

    def into(self, node_type: NodeType, target: Tensor, states: States, block: Block) -> Tensor:
        """(num_dst, width) new states of the nodes of one type alone.

        Args:
            node_type: of the destinations.
            target: (num_dst, width) their states before.
            states: of the sources, by node type.
            block: with the relations into `node_type`.
        """
        received = self._received(node_type, target, states, block, Prepared())
        return self._combined(received, block)

    def of(self, relation: EdgeType) -> RelationAttention:
        """The attention of one relation."""
        return cast(RelationAttention, self.attention[relation_name(relation)])

    def messages(
        self, node_type: NodeType, states: States, block: Block, target: Tensor | None = None
    ) -> dict[EdgeType, Tensor]:
        """(num_dst, width) what each relation into a node type adds to its states, gates included.

        target: (num_dst, width) states of the destinations; those in `states` when absent.
        """
        if target is None:
            target = _destinations(states[node_type], block.num_dst[node_type])
        received = self._received(node_type, target, states, block, Prepared())
        messages: dict[EdgeType, Tensor] = {}
        base = self.base.get(node_type)
        if base is not None and received.base is not None:
            messages[base] = received.base
        if received.added:
            ungated = list(received.added.values())
            factors = relation_factors(*self._mixing(received, block), ungated)
            for relation, message, factor in zip(received.added, ungated, factors, strict=True):
                messages[relation] = factor[:, None] * message
        return messages

    def _combined(self, received: _Received, block: Block) -> Tensor:
        """New states of the nodes of one type."""
        out = torch.zeros_like(received.target) if received.base is None else received.base
        if received.added:
            mixing = self._mixing(received, block)
            out = out + Mixture.apply(*mixing, *received.added.values())
        return nn.functional.elu(out) if self.activate else out

    def _received(
        self,
        node_type: NodeType,
        target: Tensor,
        states: States,
        block: Block,
        prepared: Prepared,
    ) -> _Received:
        base = None
        added: dict[EdgeType, Tensor] = {}
        for relation in self.relations:
            if relation[2] != node_type or relation not in block.messages:
                continue
            message = self._message(relation, states[relation[0]], target, block, prepared)
            if relation == self.base[node_type]:
                base = message
            else:
                added[relation] = message
        return _Received(target, base, added)

    def _message(
        self, relation: EdgeType, source: Tensor, target: Tensor, block: Block, prepared: Prepared
    ) -> Tensor:
        """(num_dst, width) by one relation; 0 for nodes without neighbours."""
        attention, messages = self.of(relation), block.messages[relation]
        message = pass_messages(attention, source, target, messages, prepared)
        if attention.answers_alone:
            message = message * _present(messages.adjacency)[:, None]
        return message

    def _mixing(self, received: _Received, block: Block) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """States of the destinations, gates, κ and presence of the relations: what `Mixture` takes."""
        names = [relation_name(relation) for relation in received.added]
        gate = torch.stack([self.gate[name] for name in names])
        kappa = torch.stack([self.kappa[name] for name in names])
        adjacencies = [block.messages[relation].adjacency for relation in received.added]
        present = torch.stack([_present(adjacency) for adjacency in adjacencies])
        return received.target, gate, kappa, present


def table_name(node_type: NodeType) -> str:
    """A node type as a parameter name: torch allows no dots."""
    return node_type.replace("%", "%25").replace(".", "%2E")


def relation_name(relation: EdgeType) -> str:
    """A relation as a module name; the prefix keeps it apart from torch's own attributes, "type"
    and "pop" say.
    """
    return f"relation:{table_name(relation[1])}"


def _destinations(states: Tensor, count: int) -> Tensor:
    """The first `count` states; these themselves when they are all, so that what is made of them is
    made once.
    """
    return states if count == len(states) else states[:count]


def _first_gate(relation: EdgeType) -> float:
    return 0.0 if relation[2] in (USER, ITEM) else 1.0


def _present(adjacency: Adjacency) -> Tensor:
    """(num_dst,) which destinations have a neighbour."""
    return adjacency.indptr.diff() > 0


def _family_attention(config: ModelConfig) -> RelationAttention:
    if config.family in ("degree_prior", "history"):
        return DegreePriorAttention(
            config.heads,
            config.exponent,
            config.learn_exponents,
            config.attention,
            config.attention_dropout,
            config.learn_weight_power,
        )
    textbook = GATLayer if config.family == "gat" else GATv2Layer
    head_width = config.width // config.heads
    return textbook(config.width, config.heads, head_width, config.attention_dropout)

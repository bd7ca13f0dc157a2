"""One layer over all relations: node-level attention in each relation, then a gated mixture of the
added ones.
"""

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from recsys.core.config import ModelConfig
from recsys.graph.schema import (
    ITEM,
    USER,
    Adjacency,
    Block,
    EdgeType,
    Messages,
    NodeType,
    base_relation,
)
from recsys.model.attention import DegreePriorAttention, Prepared
from recsys.model.bases import Bases
from recsys.model.mixture import Mixture, shares
from recsys.model.present import hear
from recsys.model.textbook import GATLayer, GATv2Layer

States = dict[NodeType, Tensor]
"""(n, width) by node type."""


class RelationLayer(Protocol):
    """What mixes the messages of one relation."""

    def __call__(self, source: Tensor, target: Tensor, messages: Messages) -> Tensor: ...


class Layer(nn.Module):
    """h_v = out_base(v) + Σ_{r added, N_r(v) ≠ ∅} tanh(gate_r) β_r(v) out_r(v).

    β_r(v) = softmax over the added relations present at v of κ_r cos(h_v, out_r(v)): semantic
    attention per node (Wang et al. 2019, HAN, made node-wise). Gates into users and items start at
    0, so that a graph starts as its base relations alone; those into other nodes start open: what
    these hear reaches users and items through gates of its own, and two closed gates in a row would
    have no gradient to open by.

    relations: every edge type. target: the relation to predict; decides which relation into a type
    is its base. Textbook families end in ELU unless `last`.
    """

    def __init__(
        self, relations: list[EdgeType], target: EdgeType, config: ModelConfig, last: bool
    ) -> None:
        super().__init__()
        self.relations = relations
        self.base = {
            kind: base_relation(relations, target, kind)
            for kind in sorted({r[2] for r in relations})
        }
        self.activate = config.family != "degree_prior" and not last
        self.attention = nn.ModuleDict(
            {relation_name(r): _relation_layer(config) for r in relations}
        )
        gates = {relation_name(r): _first_gate(r) for r in relations if r not in self.base.values()}
        added = list(gates)
        self.gate = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(gate)) for name, gate in gates.items()}
        )
        self.bases = self._bases(added, config)
        self.kappa = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in added})

    def _bases(self, added: list[str], config: ModelConfig) -> Bases | None:
        if config.bases is None or not added:
            return None
        return Bases(
            {name: cast(DegreePriorAttention, self.attention[name]) for name in added},
            config.bases,
            config.heads,
        )

    def forward(self, states: States, block: Block) -> States:
        """States of the sources → states of the destinations, by node type."""
        prepared = Prepared()
        return {
            node_type: self._node_type(node_type, states, block, prepared)
            for node_type in block.num_dst
            if node_type in states
        }

    def of(self, relation: EdgeType) -> nn.Module:
        """The attention of one relation."""
        return self.attention[relation_name(relation)]

    def sent(self, node_type: NodeType, states: States, block: Block) -> dict[EdgeType, Tensor]:
        """(num_dst, width) what each relation into a node type adds to its states, gates included."""
        target = _destinations(states[node_type], block.num_dst[node_type])
        base, added = self._heard(node_type, target, states, block, Prepared())
        found: dict[EdgeType, Tensor] = {}
        if added:
            factors = shares(*self._mixing(added, target, block), [o for _, o in added])
            found = {
                relation: factor[:, None] * one
                for (relation, one), factor in zip(added, factors, strict=True)
            }
        return found if base is None else {cast(EdgeType, self.base[node_type]): base, **found}

    def _node_type(
        self, node_type: NodeType, states: States, block: Block, prepared: Prepared
    ) -> Tensor:
        target = _destinations(states[node_type], block.num_dst[node_type])
        base, added = self._heard(node_type, target, states, block, prepared)
        out = torch.zeros_like(target) if base is None else base
        if added:
            out = out + Mixture.apply(
                *self._mixing(added, target, block), *(one for _, one in added)
            )
        return nn.functional.elu(out) if self.activate else out

    def _heard(
        self, node_type: NodeType, target: Tensor, states: States, block: Block, prepared: Prepared
    ) -> tuple[Tensor | None, list[tuple[EdgeType, Tensor]]]:
        """What the base relation sends, and what the added ones do, ungated."""
        base, added = None, []
        for relation in self.relations:
            if relation[2] != node_type or relation not in block.messages:
                continue
            mixed = self._relation(relation, states, target, block.messages[relation], prepared)
            if relation == self.base[node_type]:
                base = mixed
            else:
                added.append((relation, mixed))
        return base, added

    def _relation(
        self,
        relation: EdgeType,
        states: States,
        target: Tensor,
        messages: Messages,
        prepared: Prepared,
    ) -> Tensor:
        attention, source = self.of(relation), states[relation[0]]
        if isinstance(attention, DegreePriorAttention):
            return hear(attention, source, target, messages, prepared)
        # A textbook layer answers its bias where it hears nothing; here such a node stays at 0.
        return hear(attention, source, target, messages) * _present(messages.adjacency)[:, None]

    def _mixing(
        self, added: list[tuple[EdgeType, Tensor]], target: Tensor, block: Block
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """States of the destinations, gates, κ and presence of the relations: what `Mixture` takes."""
        names = [relation_name(relation) for relation, _ in added]
        gate, kappa = (
            torch.stack([values[name] for name in names]) for values in (self.gate, self.kappa)
        )
        return (
            target,
            gate,
            kappa,
            torch.stack([_present(block.messages[relation].adjacency) for relation, _ in added]),
        )


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


def _relation_layer(config: ModelConfig) -> nn.Module:
    if config.family == "degree_prior":
        return DegreePriorAttention(
            config.heads,
            config.exponent,
            config.learn_exponents,
            config.attention,
            config.attention_dropout,
            config.learn_weight_power,
        )
    textbook = GATLayer if config.family == "gat" else GATv2Layer
    return textbook(
        config.width, config.heads, config.width // config.heads, config.attention_dropout
    )

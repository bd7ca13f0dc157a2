"""Users as attention over what they did, on states of items that messages of the graph have made."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.core.config import ModelConfig
from recsys.graph.schema import (
    ITEM,
    USER,
    Block,
    EdgeType,
    Features,
    Graph,
    Messages,
    NodeType,
    full_block,
    reverse,
)
from recsys.model.causal_block import CausalBlock, asking
from recsys.model.history_attention import HistoryAttention, Recency
from recsys.model.layer import Layer, States, relation_name, table_name
from recsys.model.network import Network


class HistoryNetwork(Network):
    """z_u = own_weight · e_u + Σ_l user_weights[l] h_u^l, of unit length when similarity is "cosine".

    Items and the other nodes have states h = Σ_l b_l h^l as in `Network` with γ = 0, where users
    pass messages on and send none of their own. h_u^l is what the relations into users make of these
    states in user layer l (`HistoryAttention`, added relations behind gates as in `Layer`): the first
    layer asks all neighbours alike, the next by what the one before found. From the second layer on
    neighbours send h + h · turn_l, turn_l starting at 0. With model.causal_block the latest event
    asks beside what was found, and z_u gets what the block makes of both (`CausalBlock`). e_u is the
    visitor's state, or the user's own row with model.user_table. So z_u follows from the history
    alone, and serving makes of a history what training made of it.

    The states of all nodes are made once for many users: `node_states`, then `users` for any block
    of users.

    Args: as of `Network`.
        ordered: relations into users whose edges are events in an order.
        with_gaps: whether the time between them counts, too.
    """

    def __init__(
        self,
        num_nodes: dict[NodeType, int],
        relations: list[EdgeType],
        target: EdgeType,
        config: ModelConfig,
        seed: int = 0,
        features: Mapping[NodeType, Features] | None = None,
        ordered: frozenset[EdgeType] = frozenset(),
        with_gaps: bool = False,
    ) -> None:
        # Set before the tables are made: it says which there are.
        self.user_table = config.user_table
        in_graph = config.model_copy(update={"attention": False})
        super().__init__(num_nodes, relations, target, in_graph, seed, features)
        self.config = config
        self.own_weight = nn.Parameter(torch.ones(()))

        pays_attention = config.pooling == "attention"
        into_users = [relation for relation in relations if relation[2] == USER]
        self.recency = nn.ModuleDict()
        for relation in into_users:
            if relation in ordered:
                self.recency[relation_name(relation)] = Recency(config.history, with_gaps)
        self.user_weights = nn.Parameter(torch.ones(config.user_layers))
        self.causal_block = None
        if config.causal_block:
            self.causal_block = CausalBlock(config.width, seed)
        self.user_layers = nn.ModuleList()
        self.turns = nn.ModuleList()
        for number in range(config.user_layers):

            def attention_of(relation: EdgeType, matches: bool = number > 0) -> HistoryAttention:
                return HistoryAttention(
                    config.heads,
                    config.width,
                    config.exponent if pays_attention else 0.0,
                    config.learn_exponents and pays_attention,
                    config.attention and pays_attention,
                    matches and pays_attention,
                    config.attention_dropout,
                )

            layer = Layer(into_users, target, config, last=True, attention_of=attention_of)
            self.user_layers.append(layer)
            turns = nn.ParameterDict()
            for kind in sorted({source for source, _, _ in into_users}) if number else []:
                turns[table_name(kind)] = nn.Parameter(torch.zeros(config.width, config.width))
            self.turns.append(turns)

    def learnt_types(self) -> list[NodeType]:
        return [kind for kind in self.num_nodes if kind != USER or self.user_table]

    def node_states(self, blocks: list[Block]) -> States:
        """States h of the nodes that send messages to users, and of items; `history_blocks` gives
        the blocks.
        """
        return self.with_own(self.messages_of_nodes(blocks))

    def with_own(self, messages: States, nodes: Mapping[NodeType, Tensor] | None = None) -> States:
        """b_0 h^0 + m, of what messages m add to the nodes; users have no h^0.

        nodes: by type, ids of those that `messages` has; all of a type that is not there.
        """
        nodes = nodes or {}
        states: States = {}
        for kind, message in messages.items():
            states[kind] = message
            if kind == USER:
                continue
            own = self.layer0(kind, nodes[kind]) if kind in nodes else self.rows_of_all(kind)
            states[kind] = self.layer_weights[0] * own + message
        return states

    def messages_of_nodes(self, blocks: list[Block]) -> States:
        """Σ_{l≥1} b_l h^l: what messages add to the nodes' own rows."""
        total: States = {}
        layers = list(self.layer_states(blocks))
        for kind, count in blocks[-1].num_dst.items():
            for weight, layer in zip(self.layer_weights[1:], layers[1:], strict=True):
                if kind in layer:
                    term = weight * layer[kind][:count]
                    total[kind] = total[kind] + term if kind in total else term
            if kind not in total:
                total[kind] = self.visitor.new_zeros(count, self.config.width)
        return total

    def users(
        self, states: States, block: Block, hidden: Bool[Tensor, " users"] | None = None
    ) -> Float[Tensor, "users width"]:
        """Final vectors of the users of a block, whose sources are all nodes in order.

        states: `node_states`. block: nodes[USER] are the users' ids. hidden: users who have the
        visitor's state in place of their own row.
        """
        own = self.own_states(block.nodes[USER], hidden)
        block = self.with_recency(block)
        total = self.own_weight * own
        latest = self.latest(states, block) if self.causal_block is not None else None
        asks = own
        for number, layer in enumerate(self.user_layers):
            sent = self.sent(states, number)
            received = cast(Layer, layer).into(USER, asks, sent, block)
            total = total + self.user_weights[number] * received
            asks = received if latest is None else asking(latest, received)
        if self.causal_block is not None:
            total = total + self.causal_block(latest, received)
        return self.finish({USER: total})[USER]

    def latest(self, states: States, block: Block) -> Float[Tensor, "users width"]:
        """State of the latest item that each user of a block took; 0 where there is none."""
        latest = self.visitor.new_zeros(block.num_dst[USER], self.config.width)
        messages = block.messages.get(reverse(self.target))
        if messages is None or messages.places is None:
            return latest
        adjacency = messages.adjacency
        edges = torch.nonzero(messages.places.rank == 0).flatten()
        users = torch.searchsorted(adjacency.indptr.long(), edges, right=True) - 1
        items = adjacency.indices[edges].long()
        return latest.index_copy(0, users, states[ITEM].index_select(0, items))

    def sent(self, states: States, number: int) -> States:
        """What nodes send to users in a user layer (from 0)."""
        turns = cast(nn.ParameterDict, self.turns[number])
        sent: States = {}
        for kind, state in states.items():
            name = table_name(kind)
            sent[kind] = state + state @ turns[name] if name in turns else state
        return sent

    def with_recency(self, block: Block) -> Block:
        """The block with what the places of its edges weigh."""
        messages = {}
        for relation, of_relation in block.messages.items():
            name = relation_name(relation)
            if of_relation.places is not None and name in self.recency:
                recency = self.recency[name](of_relation.places)
                of_relation = replace(of_relation, recency=recency)
            messages[relation] = of_relation
        return replace(block, messages=messages)

    def own_states(
        self, users: Tensor, hidden: Bool[Tensor, " users"] | None = None
    ) -> Float[Tensor, "users width"]:
        """e_u of some users."""
        if not self.user_table:
            return self.visitor.expand(len(users), -1)
        own = self.layer0(USER, users)
        return own if hidden is None else self.as_visitors(own, hidden)

    def _start(self, block: Block, full: bool, hidden: Tensor | None) -> States:
        """Layer-0 states of the block's nodes; users have none of their own to send."""
        states: States = {}
        for kind, nodes in block.nodes.items():
            if kind == USER:
                states[kind] = self.visitor.new_zeros(len(nodes), self.config.width)
            else:
                states[kind] = self.rows_of_all(kind)
        return states


def history_blocks(graph: Graph, layers: int) -> list[Block]:
    """The full graph, a block a layer, with no more messages than the states of items and of those
    that users hear from need.
    """
    whole = full_block(graph)
    senders = {source for source, _, destination in graph.relations if destination == USER}
    needed = {ITEM} | senders
    blocks: list[Block] = []
    for layer in range(layers, 0, -1):
        messages: dict[EdgeType, Messages] = {}
        for relation, of_relation in whole.messages.items():
            # Before the first layer the states of users are zero.
            silent = layer == 1 and relation[0] == USER
            if relation[2] in needed and not silent:
                messages[relation] = of_relation
        num_dst = {kind: count for kind, count in whole.num_dst.items() if kind in needed}
        blocks.append(Block(whole.nodes, num_dst, messages))
        needed = needed | {relation[0] for relation in messages}
    return blocks[::-1]

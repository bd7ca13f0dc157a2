"""Share of message norm per relation."""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from recsys.core.errors import UsageError
from recsys.core.interactions import Interactions
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.schema import USER, EdgeType, Graph, NodeType, block_to, full_block
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.model.layer import Layer
from recsys.model.network import Network

Shares = dict[str, float]
"""By name of the relation, shares that sum to 1; empty where no node gets a message."""


def message_mass(
    network: Network, graph: Graph, interactions: Interactions | None = None
) -> dict[NodeType, Shares]:
    """By type of the nodes that get messages, the share of each relation in them.

    The mass of a relation at a node is the length of what it adds to the node's state, gate and
    degree factors included, over the sum of these lengths. Averaged over the nodes that get any
    message, and over layers by |layer weight|.
    """
    if isinstance(network, HistoryNetwork):
        if interactions is None:
            raise UsageError("the messages of histories need the interactions", "Pass them")
        return {USER: _mass_of_histories(network, graph, interactions)}
    masses: dict[NodeType, Shares] = {}
    with torch.no_grad():
        block = full_block(graph.to(network.visitor.device))
        states = list(network.layer_states(block))
        weights = network.layer_weights[1:].abs().tolist()
        for kind in sorted(graph.num_nodes):
            shares = []
            for layer, before in zip(network.layers, states[:-1], strict=True):
                messages = cast(Layer, layer).messages(kind, before, block)
                shares.append(_shares(messages))
            mass = _average(weights, shares)
            if mass:
                masses[kind] = mass
    return masses


def _mass_of_histories(network: HistoryNetwork, graph: Graph, interactions: Interactions) -> Shares:
    """Shares of the relations in the vectors of users."""
    with torch.no_grad():
        device = network.visitor.device
        states = network.node_states(history_blocks(graph.to(device), network.config.layers))
        users = np.arange(graph.num_nodes[USER])
        histories = history_blocks_of(graph, interactions, network.config)
        block = network.with_recency(block_to(histories.now(users), device))
        received = network.own_states(block.nodes[USER])
        shares = []
        for number, module in enumerate(network.user_layers):
            layer = cast(Layer, module)
            sent = network.sent(states, number)
            shares.append(_shares(layer.messages(USER, sent, block, received)))
            received = layer.into(USER, received, sent, block)
        return _average(network.user_weights.abs().tolist(), shares)


def _shares(messages: dict[EdgeType, Tensor]) -> Shares:
    """Mean share of each relation over the nodes that get any message."""
    if not messages:
        return {}
    norms = [torch.linalg.vector_norm(message, dim=1) for message in messages.values()]
    lengths = torch.stack(norms)
    total = lengths.sum(0)
    reached = total > 0
    if not reached.any():
        return {}
    means = (lengths[:, reached] / total[reached]).mean(1).tolist()
    names = [relation[1] for relation in messages]
    return dict(zip(names, means, strict=True))


def _average(weights: list[float], layers: list[Shares]) -> Shares:
    """Average over layers by weight, those without a message left out."""
    total = 0.0
    sums: Shares = {}
    for weight, shares in zip(weights, layers, strict=True):
        if shares:
            total += weight
        for name, share in shares.items():
            sums[name] = sums.get(name, 0.0) + weight * share
    if not total:
        return {}
    return {name: value / total for name, value in sums.items()}

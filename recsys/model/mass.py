"""How much of what nodes hear comes by which relation."""

from typing import cast

import torch
from torch import Tensor

from recsys.graph.schema import EdgeType, Graph, NodeType, full_block
from recsys.model.layer import Layer
from recsys.model.network import Network


def message_mass(network: Network, graph: Graph) -> dict[NodeType, dict[str, float]]:
    """By node type that hears and name of the relation, the share of the messages, from 0 to 1;
    shares sum to 1.

    The mass of a relation at a node is the length of what it adds to the node's state, gate and
    degree factors included, over the sum of these lengths. Averaged over the nodes that hear
    anything, and over layers by |layer weight|.
    """
    with torch.no_grad():
        block = full_block(graph.to(network.visitor.device))
        states = list(network.layer_states(block))
        weights = network.layer_weights[1:].abs()
        found: dict[NodeType, dict[str, float]] = {}
        for kind in sorted(graph.num_nodes):
            layers = zip(network.layers, states[:-1], weights, strict=True)
            shares = [
                (float(weight), _shares(cast(Layer, layer).sent(kind, before, block)))
                for layer, before, weight in layers
            ]
            found[kind] = _average(shares)
    return {kind: masses for kind, masses in found.items() if masses}


def _shares(sent: dict[EdgeType, Tensor]) -> dict[str, float]:
    """Mean share of each relation over the nodes that hear anything; nothing where none does."""
    if not sent:
        return {}
    lengths = torch.stack([torch.linalg.vector_norm(one, dim=1) for one in sent.values()])
    total = lengths.sum(0)
    hearing = total > 0
    if not hearing.any():
        return {}
    means = (lengths[:, hearing] / total[hearing]).mean(1)
    return {relation[1]: float(mean) for relation, mean in zip(sent, means, strict=True)}


def _average(layers: list[tuple[float, dict[str, float]]]) -> dict[str, float]:
    """Weighted by layer, those where nothing is heard left out."""
    heard = [(weight, shares) for weight, shares in layers if shares]
    total = sum(weight for weight, _ in heard)
    names = dict.fromkeys(name for _, shares in heard for name in shares)
    if not total:
        return {}
    return {
        name: sum(weight * shares.get(name, 0.0) for weight, shares in heard) / total
        for name in names
    }

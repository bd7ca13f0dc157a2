"""From trained weights to vectors: the whole graph layer by layer, without gradients."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.core.encoder import Embeddings
from recsys.core.interactions import Interactions
from recsys.graph.schema import ITEM, USER, Graph, NodeType, full_block
from recsys.model.export import encoder_state
from recsys.model.network import Network

LayerStates = list[dict[NodeType, Tensor]]


def embed(network: Network, graph: Graph, interactions: Interactions) -> Embeddings:
    """Final vectors of all users and items of a phase, and what encodes a user anew, on the CPU."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        states = layer_states(network, graph)
        vectors = network.finish(_average(network, states))
        encoder = encoder_state(network, graph, states, interactions)
    network.train(was_training)
    return Embeddings(_array(vectors[USER]), _array(vectors[ITEM]), _array(states[0][USER]), encoder)


def layer_states(network: Network, graph: Graph) -> LayerStates:
    """h^0..h^L of every node."""
    block = full_block(graph.to(network.visitor.device))
    states: LayerStates = [{kind: network.table(kind).detach() for kind in graph.num_nodes}]
    for layer in network.layers:
        states.append(layer(states[-1], block))
    return states


def _average(network: Network, states: LayerStates) -> dict[NodeType, Tensor]:
    weights = network.layer_weights
    return {
        kind: sum((weight * layer[kind] for weight, layer in zip(weights, states, strict=True)), torch.zeros(()))
        for kind in (USER, ITEM)
    }


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().cpu().numpy().copy()

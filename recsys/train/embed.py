"""From trained weights to vectors: the whole graph layer by layer, without gradients."""

import numpy as np
import torch
from torch import Tensor

from recsys.core.arrays import Float32Array
from recsys.core.config import GraphConfig
from recsys.core.encoder import Embeddings
from recsys.core.interactions import Interactions
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.histories import HistoryBlocks
from recsys.graph.schema import ITEM, USER, Block, Graph, NodeType, block_to, full_block
from recsys.model.export import encoder_state, history_encoder_state
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.model.layer import States
from recsys.model.network import Network
from recsys.train.ranks import ALONE, Ranks

_USERS_AT_ONCE = 8192


def embed(
    network: Network,
    graph: Graph,
    interactions: Interactions,
    config: GraphConfig | None = None,
    block: Block | None = None,
) -> Embeddings:
    """Final vectors of all users and items of a phase, and what encodes a user anew, on the CPU.

    Under cosine an item's vector gets the length (d / largest d)^popularity, d its number of target
    edges: training compares directions, but of two items as near, the more popular one is the safer
    guess.

    Args:
        network: trained.
        graph: of the phase.
        interactions: of the phase.
        config: what the graph was built with; it says how a visitor's events weigh.
        block: the full graph on the network's device, when there is one already: what layers keep
            of its edges is then used again.
    """
    was_training = network.training
    network.eval()
    with torch.no_grad():
        block = block or full_block(graph.to(network.visitor.device))
        states = list(network.layer_states(block))
        total = {kind: _layer_sum(network, states, kind) for kind in (USER, ITEM)}
        vectors = network.finish(total)
        encoder = encoder_state(network, graph, states, interactions, config)
    network.train(was_training)
    items, lengths = _array(vectors[ITEM]), None
    if network.config.similarity == "cosine":
        items *= degree_lengths(graph, network.config.popularity)[:, None]
        trained_lengths = torch.linalg.vector_norm(total[ITEM], dim=1)
        lengths = _relative(_array(trained_lengths))
    return Embeddings(_array(vectors[USER]), items, _array(states[0][USER]), encoder, lengths)


def embed_histories(
    network: HistoryNetwork,
    graph: Graph,
    interactions: Interactions,
    config: GraphConfig | None = None,
    blocks: list[Block] | None = None,
    histories: HistoryBlocks | None = None,
    ranks: Ranks = ALONE,
) -> Embeddings:
    """The same of a network whose users are histories.

    Args:
        network: trained.
        graph, interactions: of the phase.
        config: what the graph was built with.
        blocks: `history_blocks` on the network's device, when there are some already.
        histories: of the graph's users, when they are sorted already.
        ranks: the processes that call this together; each makes the vectors of its part of the
            users, and has those of all in the end.
    """
    device = network.visitor.device
    was_training = network.training
    network.eval()
    with torch.no_grad():
        blocks = blocks or history_blocks(graph.to(device), network.config.layers)
        states = network.node_states(blocks)
        histories = histories or history_blocks_of(graph, interactions, network.config)
        num_users = interactions.num_users
        own = np.arange(num_users)[ranks.part(num_users)]
        own_users = np.empty((len(own), network.config.width), np.float32)
        for start in range(0, len(own), _USERS_AT_ONCE):
            places = slice(start, start + _USERS_AT_ONCE)
            block = block_to(histories.now(own[places]), device)
            own_users[places] = _array(network.users(states, block))
        users = ranks.gathered(own_users, num_users)
        items = _array(network.finish({ITEM: states[ITEM]})[ITEM])
        user_self = _own_states(network, num_users)
        encoder = history_encoder_state(network, graph, states, interactions, config)
    network.train(was_training)
    lengths = None
    if network.config.similarity == "cosine":
        items *= degree_lengths(graph, network.config.popularity)[:, None]
        lengths = _relative(_array(torch.linalg.vector_norm(states[ITEM], dim=1)))
    return Embeddings(users, items, user_self, encoder, lengths)


def _own_states(network: HistoryNetwork, num_users: int) -> Float32Array:
    """(users, width) layer-0 states; without a table the visitor's for all, held once."""
    if network.user_table:
        return _array(network.rows_of_all(USER))
    return np.broadcast_to(_array(network.visitor), (num_users, network.config.width))


def _layer_sum(network: Network, states: list[States], kind: NodeType) -> Tensor:
    """(n, width) Σ_l b_l h^l of the nodes of a type."""
    terms = []
    for weight, layer in zip(network.layer_weights, states, strict=True):
        terms.append(weight * layer[kind])
    return torch.stack(terms).sum(0)


def degree_lengths(graph: Graph, popularity: float) -> Float32Array:
    """(items,) (d / largest d)^popularity; items without a target edge count as having one."""
    counts = graph.relations[graph.target].indptr.diff().cpu().numpy()
    degrees = np.maximum(counts, 1)
    lengths = (degrees / degrees.max()) ** popularity
    return np.asarray(lengths, np.float32)


def _relative(lengths: Float32Array) -> Float32Array:
    """The same, 1 on average over those above 0."""
    positive = lengths[lengths > 0]
    return lengths / np.float32(positive.mean()) if len(positive) else lengths


def _array(tensor: Tensor) -> Float32Array:
    return tensor.detach().float().cpu().numpy().copy()

"""What a network of the family history learnt: what its heads look at by position, age and relation,
and by kind of item.

"Attention" is what an event weighs times the number of the user's events under the relation: 1 in a
plain mean of them.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.attention_entropy import entropy_by_neighbours
from recsys.core.arrays import Float64Array, Int64Array, IntArray
from recsys.encode.attention import row_softmax
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.schema import USER, Block, EdgeType, Messages
from recsys.model.edges import positive
from recsys.model.history_attention import HistoryAttention, Recency
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.model.layer import Layer, States, relation_name
from recsys.model.scaling import unit_rows
from recsys.phases.phase import Phase

Facts = dict[str, Any]


@dataclass(frozen=True)
class RelationWeights:
    """What the edges of one relation into users weigh.

    indptr: (users + 1,) where the edges of each user begin and end.
    source: (edges,) node at the other end.
    prior: (edges,) logits without the states of neighbours.
    logits: (heads, edges) logits of attention.
    node_weight: (sources,) d^(−a) exp(query · ĥ), the mean over heads.
    rank, gap: (edges,) places in the history; None where there is no order, or no clock.
    """

    indptr: Int64Array
    source: IntArray
    prior: Float64Array
    logits: Float64Array
    node_weight: Float64Array
    rank: IntArray | None
    gap: IntArray | None

    def attention(self) -> Float64Array:
        """(edges, heads) what each edge weighs times the number of edges of its user."""
        counts = np.diff(self.indptr)
        weights = row_softmax(self.logits.T, self.indptr)
        return np.asarray(weights * np.repeat(counts, counts)[:, None])


def history_facts(network: HistoryNetwork, learned: Phase) -> tuple[list[Facts], RelationWeights]:
    """Facts of every relation into users, and what the edges of the first one weigh, which is the
    target's.

    learned: what the network was trained on; its users are encoded from all that they did.
    """
    graph, interactions = learned.graph, learned.interactions
    with torch.no_grad():
        states = network.eval().node_states(history_blocks(graph, network.config.layers))
        users = np.arange(interactions.num_users)
        block = history_blocks_of(graph, interactions, network.config).now(users)
        block = network.with_recency(block)
        lengths = message_lengths(network, states, block)
        by_relation = {}
        for relation, messages in block.messages.items():
            attention = cast(HistoryAttention, first_layer(network).of(relation))
            by_relation[relation] = relation_weights(attention, states[relation[0]], messages)

    base = first_layer(network).base[USER]
    assert base is not None  # there is a target, and its reverse
    facts = []
    for relation in sorted(by_relation, key=lambda name: name != base):
        weights = by_relation[relation]
        of_relation = _learnt(network, relation, relation == base)
        of_relation["share"] = round(lengths[relation] / sum(lengths.values()), 4)
        of_relation["edges"] = len(weights.source)
        facts.append(of_relation | _looked_at(network, relation, weights))
    return facts, by_relation[base]


def relation_weights(
    attention: HistoryAttention, source: Tensor, messages: Messages
) -> RelationWeights:
    """The weights of one relation in the first user layer, by the formula of `HistoryAttention`;
    source: (sources, width) states.
    """
    adjacency, places = messages.adjacency, messages.places
    sources = adjacency.indices.long()
    # −a ln d(u) and query^m · ĥ_u^m are the same for all edges of a source.
    log_degree = attention.source_exponent * positive(messages.source_degree).log()
    by_head = source.reshape(len(source), attention.heads, -1)
    keys = (unit_rows(by_head) * attention.query).sum(-1)
    prior = adjacency.weight.log() - log_degree[sources]
    if messages.recency is not None:
        prior = prior + messages.recency
    logits = prior + keys[sources].T
    node_weight = (keys - log_degree[:, None]).exp().mean(1)
    return RelationWeights(
        indptr=adjacency.indptr.numpy().astype(np.int64),
        source=sources.numpy(),
        prior=prior.double().numpy(),
        logits=logits.double().numpy(),
        node_weight=node_weight.double().numpy(),
        rank=None if places is None else places.rank.numpy(),
        gap=None if places is None or places.gap is None else places.gap.numpy(),
    )


def message_lengths(
    network: HistoryNetwork, states: States, block: Block
) -> dict[EdgeType | None, float]:
    """Mean length over users of what each relation adds to their vectors, gates included; None:
    of what is theirs without any neighbour.
    """
    own = network.own_states(block.nodes[USER])
    messages = first_layer(network).messages(USER, states, block, own)
    lengths: dict[EdgeType | None, float] = {None: _mean_length(network.own_weight * own)}
    for relation, message in messages.items():
        lengths[relation] = _mean_length(message)
    return lengths


def first_layer(network: HistoryNetwork) -> Layer:
    """The layer that asks the neighbours of all users alike."""
    return cast(Layer, network.user_layers[0])


def _mean_length(rows: Tensor) -> float:
    mean_length: float = torch.linalg.vector_norm(rows, dim=1).mean().item()
    return mean_length


def _learnt(network: HistoryNetwork, relation: EdgeType, is_base: bool) -> Facts:
    """The learnt numbers of a relation; `gate` and `kappa` are None of the base, which has none."""
    attention = cast(HistoryAttention, first_layer(network).of(relation))
    query_length = torch.linalg.vector_norm(attention.query.detach(), dim=1)
    gate = kappa = None
    if not is_base:
        name = relation_name(relation)
        gate = round(first_layer(network).gate[name].tanh().item(), 3)
        kappa = round(first_layer(network).kappa[name].item(), 3)
    return {
        "relation": relation[1],
        "gate": gate,
        "kappa": kappa,
        "source_exponent": round(attention.source_exponent.item(), 3),
        "query_length": _rounded(query_length.double().numpy()),
    }


def _looked_at(network: HistoryNetwork, relation: EdgeType, weights: RelationWeights) -> Facts:
    """What heads look at: by position and age where the relation has them, and how far attention
    departs from its prior by the number of neighbours.
    """
    name = relation_name(relation)
    rank_bias = gap_bias = None
    if name in network.recency:
        recency = cast(Recency, network.recency[name])
        rank_bias, gap_bias = recency.rank_bias, recency.gap_bias
    by_rank = by_place(weights, weights.rank, rank_bias)
    by_age = by_place(weights, weights.gap, gap_bias)
    entropy = entropy_by_neighbours(weights.prior, weights.logits, weights.indptr)
    return {"position": by_rank, "age": by_age, "entropy": entropy}


def by_place(
    weights: RelationWeights, position: IntArray | None, bias: Tensor | None
) -> list[Facts]:
    """Attention by rank or by bucket of the time gap, over users with at least two events.

    Args:
        weights: of the relation.
        position: (edges,) rank or bucket; None where there is none.
        bias: (places,) learnt for it.

    Returns:
        For each place with an event: `at`, number of `events`, the `learnt` factor e^bias over its
        mean over these events, and the mean `attention` by head.
    """
    if position is None or bias is None:
        return []
    counts = np.diff(weights.indptr)
    has_others = np.repeat(counts, counts) > 1
    position = position[has_others]
    attention = weights.attention()[has_others]
    events = np.bincount(position, minlength=len(bias))
    factor = np.exp(bias.detach().double().numpy())
    mean_factor = (events * factor).sum() / max(events.sum(), 1)
    facts = []
    for at in np.flatnonzero(events):
        row: Facts = {
            "at": int(at),
            "events": int(events[at]),
            "learnt": round(float(factor[at] / mean_factor), 4),
            "attention": _rounded(attention[position == at].mean(0)),
        }
        facts.append(row)
    return facts


def _rounded(values: Float64Array) -> list[float]:
    rounded: list[float] = np.round(values, 3).tolist()
    return rounded

"""What a network of the family history learnt: what its heads look at by position, age and relation,
and by kind of item.

"Attention" is what an event weighs times the number of the user's events under the relation: 1 in a
plain mean of them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.attention_entropy import entropy_by_neighbours
from recsys.core.arrays import Float64Array, Int64Array, IntArray
from recsys.encode.attention import row_softmax
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.schema import USER, EdgeType, Messages
from recsys.model.edges import positive
from recsys.model.history_attention import HistoryAttention, Recency
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.model.layer import Layer, relation_name
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


class TracedRelation(NamedTuple):
    """One relation in one user layer (from 0). length: of its messages, the mean over users, gates
    and the weight of the layer included.
    """

    layer: int
    name: EdgeType
    weights: RelationWeights
    length: float


class Trace(NamedTuple):
    """All users, encoded. own_length: of what is theirs without any neighbour."""

    relations: list[TracedRelation]
    own_length: float


def history_facts(network: HistoryNetwork, learned: Phase) -> tuple[list[Facts], RelationWeights]:
    """Facts of every relation in every user layer, the target's first in each, and what the
    target's edges weigh in the first layer.

    learned: what the network was trained on; its users are encoded from all that they did.
    """
    with torch.no_grad():
        traced = trace(network.eval(), learned)
    whole = sum(relation.length for relation in traced.relations) + traced.own_length
    facts = []
    for relation in traced.relations:
        of_relation = _learnt(network, relation)
        of_relation["share"] = round(relation.length / whole, 4)
        of_relation["edges"] = len(relation.weights.source)
        facts.append(of_relation | _looked_at(network, relation))
    return facts, traced.relations[0].weights


def trace(network: HistoryNetwork, learned: Phase) -> Trace:
    """The user layers one after the other over all users, as `HistoryNetwork.users` runs them."""
    graph, users = learned.graph, np.arange(learned.interactions.num_users)
    states = network.node_states(history_blocks(graph, network.config.layers))
    blocks = history_blocks_of(graph, learned.interactions, network.config)
    block = network.with_recency(blocks.now(users))
    received = network.own_states(block.nodes[USER])
    own_length = _mean_length(network.own_weight * received)
    relations = []
    for number in range(len(network.user_layers)):
        layer = user_layer(network, number)
        sent = network.sent(states, number)
        messages = layer.messages(USER, sent, block, received)
        for relation in sorted(messages, key=lambda name: name != layer.base[USER]):
            attention = cast(HistoryAttention, layer.of(relation))
            edges = block.messages[relation]
            weights = relation_weights(attention, sent[relation[0]], received, edges)
            length = _mean_length(network.user_weights[number] * messages[relation])
            relations.append(TracedRelation(number, relation, weights, length))
        received = layer.into(USER, received, sent, block)
    return Trace(relations, own_length)


def user_layer(network: HistoryNetwork, number: int) -> Layer:
    """A user layer, from 0."""
    return cast(Layer, network.user_layers[number])


def relation_weights(
    attention: HistoryAttention, source: Tensor, target: Tensor, messages: Messages
) -> RelationWeights:
    """The weights of one relation in a user layer, by the formula of `HistoryAttention`.

    Args:
        attention: of the relation.
        source: (sources, width) what they send.
        target: (users, width) states of the users before the layer.
        messages: the edges, with their recency.
    """
    adjacency, places = messages.adjacency, messages.places
    sources, targets = adjacency.indices.long(), adjacency.destinations()
    # c ln w_uv − a ln d(u)
    log_weight = adjacency.weight.log()
    if messages.recency is not None:
        log_weight = log_weight + messages.recency
    if attention.weight_power is not None:
        log_weight = log_weight * attention.weight_power
    log_degree = attention.source_exponent * positive(messages.source_degree).log()
    prior = log_weight - log_degree[sources]
    # query^m · ĥ_u^m, the same for all edges of a source
    keys = unit_rows(source.reshape(len(source), attention.heads, -1))
    answers = (keys * attention.query).sum(-1)
    logits = prior + answers[sources].T
    # ⟨(ĥ_v match)^m, ĥ_u^m⟩
    if attention.match is not None:
        asked = unit_rows(target) @ attention.match
        asked = asked.reshape(len(target), attention.heads, -1)
        logits = logits + (asked[targets] * keys[sources]).sum(-1).T
    node_weight = (answers - log_degree[:, None]).exp().mean(1)
    return RelationWeights(
        indptr=adjacency.indptr.numpy().astype(np.int64),
        source=sources.numpy(),
        prior=prior.double().numpy(),
        logits=logits.double().numpy(),
        node_weight=node_weight.double().numpy(),
        rank=None if places is None else places.rank.numpy(),
        gap=None if places is None or places.gap is None else places.gap.numpy(),
    )


def _mean_length(rows: Tensor) -> float:
    mean_length: float = torch.linalg.vector_norm(rows, dim=1).mean().item()
    return mean_length


def _learnt(network: HistoryNetwork, relation: TracedRelation) -> Facts:
    """The learnt numbers of a relation; `gate` and `kappa` are None of the base, which has none."""
    layer = user_layer(network, relation.layer)
    attention = cast(HistoryAttention, layer.of(relation.name))
    query_length = torch.linalg.vector_norm(attention.query.detach(), dim=1)
    gate = kappa = None
    if relation.name != layer.base[USER]:
        name = relation_name(relation.name)
        gate = round(layer.gate[name].tanh().item(), 3)
        kappa = round(layer.kappa[name].item(), 3)
    return {
        "layer": relation.layer + 1,
        "relation": relation.name[1],
        "gate": gate,
        "kappa": kappa,
        "source_exponent": round(attention.source_exponent.item(), 3),
        "query_length": _rounded(query_length.double().numpy()),
    }


def _looked_at(network: HistoryNetwork, relation: TracedRelation) -> Facts:
    """What heads look at: by position and age where the relation has them, and how far attention
    departs from its prior by the number of neighbours.
    """
    weights = relation.weights
    attention = cast(HistoryAttention, user_layer(network, relation.layer).of(relation.name))
    power = 1.0 if attention.weight_power is None else attention.weight_power.item()
    name = relation_name(relation.name)
    rank_bias = gap_bias = None
    if name in network.recency:
        recency = cast(Recency, network.recency[name])
        rank_bias = recency.rank_bias.detach() * power
        if recency.gap_bias is not None:
            gap_bias = recency.gap_bias.detach() * power
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

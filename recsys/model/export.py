"""The trained network as what serving needs to encode users: numpy arrays of the relations into
users.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from recsys.core.arrays import Float32Array
from recsys.core.config import GraphConfig
from recsys.core.encoder import EncoderState, RelationState
from recsys.core.interactions import Interactions
from recsys.graph.schema import ITEM, USER, EdgeType, Graph, base_relation, source_degrees
from recsys.model.history_attention import HistoryAttention, Recency
from recsys.model.history_network import HistoryNetwork
from recsys.model.layer import Layer, States, relation_name
from recsys.model.network import Network


def encoder_state(
    network: Network,
    graph: Graph,
    states: list[States],
    interactions: Interactions | None = None,
    config: GraphConfig | None = None,
) -> EncoderState:
    """What encodes a user anew (see core.encoder).

    Args:
        network: trained.
        graph: that it was trained on.
        states: h^0, …, h^L of every node by node type (Network.layer_states).
        interactions: of the phase; its last moment is where weights are counted back from.
        config: what the graph was built with; says how new events weigh.
    """
    config = config or GraphConfig()
    into_users = [relation for relation in network.relations if relation[2] == USER]
    kept_states: dict[str, Float32Array] = {}
    for kind in sorted({relation[0] for relation in into_users}):
        kept_states[kind] = np.stack([_array(layer[kind]) for layer in states[:-1]])
    layers = [cast(Layer, layer) for layer in network.layers]
    relations = []
    for relation in into_users:
        state = _relation_state(network, layers, graph, relation, config)
        power = network.weight_power(relation)
        weight_power = None if power is None else _array(power)
        relations.append(replace(state, weight_power=weight_power))
    return EncoderState(
        family=network.config.family,
        heads=network.config.heads,
        similarity=network.config.similarity,
        layer_weights=_array(network.layer_weights),
        visitor=_array(network.visitor),
        states=kept_states,
        relations=tuple(relations),
        half_life_days=config.half_life_of(),
        now=None if interactions is None else interactions.last_moment,
        use_weights=config.use_weights,
        dense=_dense(network, into_users),
    )


def history_encoder_state(
    network: HistoryNetwork,
    graph: Graph,
    states: States,
    interactions: Interactions | None = None,
    config: GraphConfig | None = None,
) -> EncoderState:
    """The same of a network whose users are histories; states: `HistoryNetwork.node_states`."""
    config = config or GraphConfig()
    layers = [cast(Layer, layer) for layer in network.user_layers]
    into_users = layers[0].relations
    sent = [network.sent(states, number) for number in range(len(layers))]
    kept_states: dict[str, Float32Array] = {}
    for kind in sorted({relation[0] for relation in into_users}):
        kept_states[kind] = np.stack([_array(of_layer[kind]) for of_layer in sent])
    relations = []
    for relation in into_users:
        state = _relation_state(network, layers, graph, relation, config)
        relations.append(replace(state, **_of_history(network, layers, relation)))
    weights = torch.cat([network.own_weight[None], network.user_weights])
    return EncoderState(
        family=network.config.family,
        heads=network.config.heads,
        similarity=network.config.similarity,
        layer_weights=_array(weights),
        visitor=_array(network.visitor),
        states=kept_states,
        relations=tuple(relations),
        half_life_days=config.half_life_of(),
        now=None if interactions is None else interactions.last_moment,
        use_weights=config.use_weights,
        causal_block=_causal_block(network),
    )


def _causal_block(network: HistoryNetwork) -> dict[str, Float32Array]:
    if network.causal_block is None:
        return {}
    return {name: _array(value) for name, value in network.causal_block.named_parameters()}


def _of_history(network: HistoryNetwork, layers: list[Layer], relation: EdgeType) -> dict[str, Any]:
    """What only the family history has of a relation, by field of `RelationState`."""
    width = network.config.width
    queries, matches, powers = [], [], []
    for layer in layers:
        attention = cast(HistoryAttention, layer.of(relation))
        power = attention.weight_power
        queries.append(_array(attention.query))
        no_match = torch.zeros(width, width)
        matches.append(_array(no_match if attention.match is None else attention.match))
        powers.append(1.0 if power is None else float(power))
    fields: dict[str, Any] = {
        "query": np.stack(queries),
        "match": np.stack(matches),
        "weight_power": np.array(powers, np.float32),
    }
    name = relation_name(relation)
    if name in network.recency:
        recency = cast(Recency, network.recency[name])
        fields["rank_weights"] = _array(recency.rank_bias.exp())
        if recency.gap_bias is not None:
            fields["gap_weights"] = _array(recency.gap_bias.exp())
    return fields


def _relation_state(
    network: Network, layers: list[Layer], graph: Graph, relation: EdgeType, config: GraphConfig
) -> RelationState:
    priors = [layer.of(relation).prior() for layer in layers]
    behavior = _behavior(relation, config)
    weight = 1.0 if behavior is None else config.behavior_weights.get(behavior, 1.0)
    return RelationState(
        name=relation[1],
        source=relation[0],
        behavior=behavior,
        weight=weight,
        base=relation == base_relation(network.relations, network.target, USER),
        source_degree=_array(source_degrees(graph.relations[relation])),
        source_exponent=_stacked([prior.source_exponent for prior in priors]),
        target_exponent=_stacked([prior.target_exponent for prior in priors]),
        gamma=_stacked([prior.gamma for prior in priors]),
        gate=_of_added([layer.gate for layer in layers], relation),
        kappa=_of_added([layer.kappa for layer in layers], relation),
        half_life_days=config.behavior_half_life_days.get(behavior or ""),
    )


def _behavior(relation: EdgeType, config: GraphConfig) -> str | None:
    """The behaviour whose events are edges of a relation into users; None for attributes and for
    what files say.
    """
    name = relation[1].removeprefix("rev_")
    from_files = {table.name for table in config.relations}
    return None if relation[0] != ITEM or name in from_files else name


def _stacked(layers: list[Tensor]) -> Float32Array:
    """(L, …) a parameter of every layer."""
    return np.stack([_array(value) for value in layers])


def _of_added(layers: list[nn.ParameterDict], relation: EdgeType) -> Float32Array:
    """(L,) a number of an added relation in every layer; 0 for the base relation, which nobody
    reads.
    """
    name = relation_name(relation)
    values = [float(layer[name]) if name in layer else 0.0 for layer in layers]
    return np.array(values, np.float32)


def _dense(network: Network, relations: list[EdgeType]) -> dict[str, Float32Array]:
    """Weights of the textbook layers by "<layer from 1>.<relation>.<name>"."""
    weights: dict[str, Float32Array] = {}
    if network.config.family not in ("gat", "gatv2"):
        return weights
    for number, layer in enumerate(network.layers, start=1):
        for relation in relations:
            for name, value in cast(Layer, layer).of(relation).named_parameters():
                short = name.replace(".weight", "").replace(".", "_")
                weights[f"{number}.{relation[1]}.{short}"] = _array(value)
    return weights


def _array(tensor: Tensor) -> Float32Array:
    return tensor.detach().float().cpu().numpy().copy()

"""The trained network as what serving needs to encode users: numpy arrays of the relations into
users.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys.core.arrays import Float32Array
from recsys.core.config import GraphConfig
from recsys.core.encoder import EncoderState, RelationState
from recsys.core.interactions import Interactions
from recsys.graph.schema import ITEM, USER, EdgeType, Graph, base_relation, source_degrees
from recsys.model.attention import DegreePriorAttention
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

    states: h^0, …, h^L of every node by node type (Network.layer_states). interactions: of the
    phase; its last moment is where weights are counted back from. config: what the graph was built
    with; says how new events weigh.
    """
    config = config or GraphConfig()
    into_users = [relation for relation in network.relations if relation[2] == USER]
    last = (
        None
        if interactions is None or interactions.time is None
        else int(interactions.time.max(initial=0))
    )
    return EncoderState(
        family=network.config.family,
        heads=network.config.heads,
        similarity=network.config.similarity,
        layer_weights=_array(network.layer_weights),
        visitor=_array(network.visitor),
        states={
            source: np.stack([_array(layer[source]) for layer in states[:-1]])
            for source in sorted({relation[0] for relation in into_users})
        },
        relations=tuple(
            _relation_state(network, graph, relation, config) for relation in into_users
        ),
        half_life_days=config.half_life_of(),
        now=last,
        use_weights=config.use_weights,
        dense=_dense(network, into_users),
    )


def _relation_state(
    network: Network, graph: Graph, relation: EdgeType, config: GraphConfig
) -> RelationState:
    layers = [cast(Layer, layer) for layer in network.layers]
    attention = [layer.of(relation) for layer in layers]
    behavior, power = _behavior(relation, config), network.weight_power(relation)
    return RelationState(
        name=relation[1],
        source=relation[0],
        behavior=behavior,
        weight=config.behavior_weights.get(behavior, 1.0) if behavior is not None else 1.0,
        base=relation == base_relation(network.relations, network.target, USER),
        source_degree=_array(source_degrees(graph.relations[relation])),
        source_exponent=_of_layers(attention, "source_exponent", 0.0),
        target_exponent=_of_layers(attention, "target_exponent", 0.0),
        gamma=_of_layers(attention, "gamma", np.zeros(network.config.heads)),
        gate=_gates([layer.gate for layer in layers], relation),
        kappa=_gates([layer.kappa for layer in layers], relation),
        half_life_days=config.behavior_half_life_days.get(behavior or ""),
        weight_power=None if power is None else _array(power),
    )


def _behavior(relation: EdgeType, config: GraphConfig) -> str | None:
    """The behaviour whose events are edges of a relation into users; None for attributes and for
    what files say.
    """
    name = relation[1].removeprefix("rev_")
    return None if relation[0] != ITEM or name in {one.name for one in config.relations} else name


def _of_layers(attention: list[nn.Module], name: str, absent: float | NDArray) -> Float32Array:
    """(L, …) a parameter of every layer; textbook layers have none of the degree prior's."""
    values = [
        _array(getattr(layer, name))
        if isinstance(layer, DegreePriorAttention)
        else np.asarray(absent, np.float32)
        for layer in attention
    ]
    return np.stack(values)


def _gates(values: list[nn.ParameterDict], relation: EdgeType) -> Float32Array:
    """(L,) of an added relation; 0 for the base relation, which nobody reads."""
    name = relation_name(relation)
    return np.array([float(layer[name]) if name in layer else 0.0 for layer in values], np.float32)


def _dense(network: Network, relations: list[EdgeType]) -> dict[str, Float32Array]:
    """Weights of the textbook layers by "<layer from 1>.<relation>.<name>"."""
    if network.config.family == "degree_prior":
        return {}
    return {
        f"{place}.{relation[1]}.{name.replace('.weight', '').replace('.', '_')}": _array(value)
        for place, layer in enumerate(network.layers, start=1)
        for relation in relations
        for name, value in cast(Layer, layer).of(relation).named_parameters()
    }


def _array(tensor: Tensor) -> Float32Array:
    return tensor.detach().float().cpu().numpy().copy()

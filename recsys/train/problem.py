"""What a network learns, and how it stands before its first step."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy import sparse

from recsys.closed_form.spectral import start_states
from recsys.core.arrays import Float32Array
from recsys.core.config import GraphConfig, ModelConfig
from recsys.core.errors import ConfigError
from recsys.core.interactions import Interactions
from recsys.graph.behaviors import behavior_relations
from recsys.graph.schema import USER, EdgeType, Graph, NodeType
from recsys.model.history_network import HistoryNetwork
from recsys.model.network import Network
from recsys.train.warm_start import load_shared

Start = dict[NodeType, Float32Array]
"""Layer-0 states by node type, or other parameters by name."""


@dataclass(frozen=True)
class Problem:
    """What a network learns from, and where it starts.

    interactions, graph: of the phase.
    model: what the network is.
    seed: of all draws.
    start: layer-0 states by node type instead of the configured ones.
    shared: other parameters by name (both as `warm_start.load_states` gives them).
    graph_config: what the graph was built with; the encoder weighs a visitor's events by it.
    first_epoch: epochs that `start` has behind it.
    """

    interactions: Interactions
    graph: Graph
    model: ModelConfig
    seed: int = 0
    start: Start | None = None
    shared: Start | None = None
    graph_config: GraphConfig | None = None
    first_epoch: int = 0

    @property
    def target(self) -> str:
        """The behaviour that is learned."""
        return self.graph.target[1]

    @cached_property
    def positives(self) -> sparse.csr_matrix:
        """(users, items) known pairs of the target behaviour."""
        return self.interactions.matrix((self.target,))

    @property
    def has_order(self) -> bool:
        """Whether the model reads what came after what, and the log tells it."""
        return self.model.reads_order and self.interactions.time is not None


def first_network(problem: Problem, factors: Start | None = None) -> Network:
    """The network before its first step.

    factors: layer-0 states that get the configured length, in place of `model.start`.
    """
    model = problem.model
    network = new_network(problem)
    if problem.start is not None:
        network.load_start(problem.start)
    else:
        if factors is not None:
            network.load_start(factors)
        elif model.start == "svd":
            states = start_states(problem.interactions, problem.target, model.width, problem.seed)
            network.load_start(states)
        _scale_tables(network, model.start_length)
    load_shared(network, problem.shared or {})
    return network


def new_network(problem: Problem) -> Network | HistoryNetwork:
    """The network of a family as its constructor leaves it.

    Raises ConfigError for model.causal_block without an order.
    """
    graph = problem.graph
    model = problem.model
    interactions = problem.interactions
    relations = list(graph.relations)
    if model.family != "history":
        return Network(
            graph.num_nodes, relations, graph.target, model, problem.seed, graph.features
        )
    if model.causal_block and interactions.time is None:
        raise ConfigError(
            "model.causal_block needs to know which event was the latest, and the log has no times",
            "Name the time column (data.time_col), or leave model.causal_block out",
        )
    ordered: frozenset[EdgeType] = frozenset()
    if problem.has_order:
        ordered = frozenset(behavior_relations(graph, interactions))
    return HistoryNetwork(
        graph.num_nodes,
        relations,
        graph.target,
        model,
        problem.seed,
        graph.features,
        ordered,
        interactions.moments is not None,
    )


def _scale_tables(network: Network, length: float) -> None:
    """Give the layer-0 states of each node type that root mean square length; the visitor shrinks
    like the users.
    """
    with torch.no_grad():
        for kind in network.learnt_types():
            table = network.table(kind)
            mean_square = float(table.square().sum(1).mean())
            factor = length / math.sqrt(max(mean_square, 1e-24))
            table.mul_(factor)
            if kind == USER:
                network.visitor.mul_(factor)

"""What each family of models trains and embeds by."""

import torch

from recsys.core.config import GraphConfig, TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.interactions import Interactions
from recsys.graph.schema import Graph
from recsys.model.history_network import HistoryNetwork
from recsys.model.network import Network
from recsys.train.embed import embed, embed_histories
from recsys.train.forecast import Plan
from recsys.train.history_stepper import HistoryStepper
from recsys.train.stepper import Stepper


def stepper_of(
    network: Network,
    interactions: Interactions,
    graph: Graph,
    config: TrainConfig,
    seed: int,
    plan: Plan,
    device: torch.device,
) -> Stepper:
    """Takes a network of its family through epochs."""
    if isinstance(network, HistoryNetwork):
        return HistoryStepper(network, interactions, graph, config, seed, plan, device)
    return Stepper(network, interactions, graph, config, seed, plan, device)


def embedded(
    stepper: Stepper, graph: Graph, interactions: Interactions, config: GraphConfig | None
) -> Embeddings:
    """The vectors at the present weights."""
    if isinstance(stepper, HistoryStepper):
        return embed_histories(
            stepper.network,
            graph,
            interactions,
            config,
            stepper.node_blocks,
            stepper.histories,
        )
    return embed(stepper.network, graph, interactions, config, stepper.block)

"""What each family of models trains and embeds by."""

import torch

from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import ConfigError
from recsys.core.interactions import Interactions
from recsys.graph.schema import Graph
from recsys.model.history_network import HistoryNetwork
from recsys.model.network import Network
from recsys.train.embed import embed, embed_histories
from recsys.train.forecast import Plan
from recsys.train.history_stepper import HistoryStepper
from recsys.train.ranks import ALONE, Ranks
from recsys.train.stepper import Stepper


def stepper_of(
    network: Network,
    interactions: Interactions,
    graph: Graph,
    config: TrainConfig,
    seed: int,
    plan: Plan,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Stepper:
    """Takes a network of its family through epochs. Raises ConfigError for what several processes
    cannot share.
    """
    if ranks.size > 1:
        require_shared_steps(network.config, config)
    if isinstance(network, HistoryNetwork):
        return HistoryStepper(network, interactions, graph, config, seed, plan, device, ranks)
    return Stepper(network, interactions, graph, config, seed, plan, device)


def require_shared_steps(model: ModelConfig, train: TrainConfig) -> None:
    """Raises ConfigError for what draws or works on whole steps alone."""
    whole_steps = {
        "model.family": model.family if model.family != "history" else None,
        "model.attention_dropout": model.attention_dropout,
        "train.edge_dropout": train.edge_dropout,
    }
    for name, value in whole_steps.items():
        if value:
            raise ConfigError(
                f"{name} = {value!r} with group.workers above 1: its steps cannot be divided",
                f"Leave {name} out, or train with group.workers = 1",
            )


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
            stepper.ranks,
        )
    return embed(stepper.network, graph, interactions, config, stepper.block)

"""What each family of models trains and embeds by."""

import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import ConfigError
from recsys.model.history_network import HistoryNetwork
from recsys.model.network import Network
from recsys.train.embed import embed, embed_histories
from recsys.train.forecast import Plan
from recsys.train.history_stepper import HistoryStepper
from recsys.train.problem import Problem, first_network
from recsys.train.ranks import ALONE, Ranks
from recsys.train.stepper import Stepper


def stepper_of(
    network: Network, problem: Problem, config: TrainConfig, plan: Plan, ranks: Ranks = ALONE
) -> Stepper:
    """Takes a network of its family through epochs. Raises ConfigError for what several processes
    cannot share.
    """
    if ranks.size > 1:
        require_shared_steps(network.config, config)
    if isinstance(network, HistoryNetwork):
        return HistoryStepper(network, problem, config, plan, ranks)
    return Stepper(network, problem, config, plan)


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


def embedded(stepper: Stepper) -> Embeddings:
    """The vectors at the present weights."""
    problem = stepper.problem
    phase = (problem.graph, problem.interactions, problem.graph_config)
    if isinstance(stepper, HistoryStepper):
        return embed_histories(
            stepper.network, *phase, stepper.node_blocks, stepper.histories, stepper.ranks
        )
    return embed(stepper.network, *phase, stepper.block)


def embedded_untrained(problem: Problem) -> Embeddings:
    """Vectors at the start of a training, and what encodes users by them."""
    with torch.random.fork_rng(devices=[]):
        network = first_network(problem)
        phase = (problem.graph, problem.interactions, problem.graph_config)
        if isinstance(network, HistoryNetwork):
            return embed_histories(network, *phase)
        return embed(network, *phase)

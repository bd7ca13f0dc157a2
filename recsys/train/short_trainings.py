"""Short trainings by which a probe judges settings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from recsys.core.arrays import FloatArray
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.interactions import Interactions
from recsys.core.progress import QUIET, Progress
from recsys.graph.schema import Graph
from recsys.train.families import embedded, stepper_of
from recsys.train.forecast import Plan
from recsys.train.probe import Settings, open_settings, probe
from recsys.train.ranks import ALONE, Ranks
from recsys.train.sharded_rows import join_tables
from recsys.train.stepper import Start, first_network

Validate = Callable[[Embeddings], FloatArray | float]
"""Vectors → validation values by user, or one for them all; the larger the better."""


@dataclass(frozen=True)
class ShortTrainings:
    """Short trainings of one network from one start. Fields: as the arguments of `train`."""

    interactions: Interactions
    graph: Graph
    model: ModelConfig
    seed: int
    start: Start | None
    shared: Start | None
    plan: Plan
    device: torch.device
    graph_config: GraphConfig | None
    validate: Validate
    ranks: Ranks = ALONE

    def settle(self, config: TrainConfig, progress: Progress) -> Settings:
        """What validation prefers of the settings that `config` leaves open."""
        has_order = self.model.reads_order and self.interactions.time is not None
        if not open_settings(config, has_order) or not self.plan.steps:
            return Settings.of(config)
        network = first_network(
            self.interactions, self.graph, self.model, self.seed, self.start, self.shared
        )
        first = {name: value.clone() for name, value in network.state_dict().items()}

        def run(candidate: TrainConfig, steps: int) -> FloatArray:
            join_tables(network)
            network.load_state_dict(first)
            stepper = stepper_of(
                network,
                self.interactions,
                self.graph,
                candidate,
                self.seed,
                self.plan,
                self.device,
                self.ranks,
            )
            stepper.epoch(0, QUIET, steps)
            embeddings = embedded(stepper, self.graph, self.interactions, self.graph_config)
            return np.atleast_1d(self.validate(embeddings))

        pairs = self.plan.pairs_a_step
        return probe(config, has_order, pairs, self.plan.steps, run, progress)

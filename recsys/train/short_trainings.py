"""Short trainings by which a probe judges settings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsys.core.arrays import FloatArray
from recsys.core.config import TrainConfig
from recsys.core.encoder import Embeddings
from recsys.core.progress import QUIET, Progress
from recsys.train.families import embedded, stepper_of
from recsys.train.forecast import Plan
from recsys.train.probe import Settings, open_settings, probe
from recsys.train.problem import Problem, first_network
from recsys.train.ranks import ALONE, Ranks
from recsys.train.sharded_rows import join_tables

Validate = Callable[[Embeddings], FloatArray | float]
"""Vectors → validation values by user, or one for them all; the larger the better."""


@dataclass(frozen=True)
class ShortTrainings:
    """Short trainings of one network from one start.

    problem: what is learned.
    plan: how.
    validate: judges the vectors.
    ranks: the processes that train together.
    """

    problem: Problem
    plan: Plan
    validate: Validate
    ranks: Ranks = ALONE

    def settle(self, config: TrainConfig, progress: Progress) -> Settings:
        """What validation prefers of the settings that `config` leaves open."""
        has_order = self.problem.has_order
        if not open_settings(config, has_order) or not self.plan.steps:
            return Settings.of(config)
        network = first_network(self.problem)
        first = {name: value.clone() for name, value in network.state_dict().items()}

        def run(candidate: TrainConfig, steps: int) -> FloatArray:
            join_tables(network)
            network.load_state_dict(first)
            stepper = stepper_of(network, self.problem, candidate, self.plan, self.ranks)
            stepper.epoch(0, QUIET, steps)
            return np.atleast_1d(self.validate(embedded(stepper)))

        pairs = self.plan.pairs_a_step
        return probe(config, has_order, pairs, self.plan.steps, run, progress)

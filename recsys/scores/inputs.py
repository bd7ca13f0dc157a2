"""What all terms of a score read in one phase."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.core.history import WeightedHistories
from recsys.core.progress import QUIET, Progress
from recsys.evaluate.metrics import evenly
from recsys.phases.data import PhaseData
from recsys.scores.last_results import LastResults

_SPREAD_USERS = 500


class HistoryWeights(NamedTuple):
    """How items of a history weigh.

    half_life_events: events after which one counts half; None where all count alike.
    auxiliary_weight: of an item under an auxiliary behaviour, as against 1 of the target.
    """

    half_life_events: float | None = None
    auxiliary_weight: float = 0.0


NO_WEIGHTS = HistoryWeights()


class TermInputs:
    """The rows of a phase as terms read them.

    data: of the phase.
    progress: told of what takes long.
    """

    def __init__(self, data: PhaseData, progress: Progress = QUIET) -> None:
        self.data = data
        self.progress = progress
        self._item_weights = LastResults(self._weigh_items, size=2)

    @property
    def num_items(self) -> int:
        """Of the phase."""
        return self.data.interactions.num_items

    @cached_property
    def pairs(self) -> sparse.csr_matrix:
        """(users, items) 0/1 under the target behaviour."""
        return self.data.interactions.matrix((self.data.target,))

    @cached_property
    def auxiliary(self) -> dict[str, sparse.csr_matrix]:
        """By auxiliary behaviour, (users, items) 0/1."""
        matrices = {}
        for behavior in auxiliary_behaviors(self.data):
            matrices[behavior] = self.data.interactions.matrix((behavior,))
        return matrices

    @cached_property
    def sample(self) -> Int32Array:
        """Users with a history, by whom the spread of scores is measured."""
        lengths = np.diff(self.pairs.indptr)
        return evenly(np.flatnonzero(lengths).astype(np.int32), _SPREAD_USERS)

    def histories(self, weights: HistoryWeights) -> WeightedHistories:
        """Of all users."""
        return WeightedHistories(self._item_weights(weights), self.auxiliary)

    def sample_histories(self, weights: HistoryWeights) -> WeightedHistories:
        """Of the users in `sample`, without their auxiliary behaviours."""
        return WeightedHistories(self._item_weights(weights)[self.sample], {})

    def _weigh_items(self, weights: HistoryWeights) -> sparse.csr_matrix:
        behavior_weights = {self.data.target: 1.0}
        if weights.auxiliary_weight:
            behavior_weights |= dict.fromkeys(self.auxiliary, weights.auxiliary_weight)
        return self.data.histories.item_weights(behavior_weights, weights.half_life_events)


def auxiliary_behaviors(data: PhaseData) -> list[str]:
    """Behaviours beside the target that count in favour of something.

    Those are in the log and in the graph, of a weight above 0, and not negative.
    """
    if not data.config.blend.auxiliary_behaviors:
        return []
    graph_config = data.config.graph
    excluded = {data.target, *graph_config.negative_behaviors}
    relations = None
    if data.given_graph is not None:
        # A graph without some behaviour stands for a log without it.
        relations = {relation for _, relation, _ in data.given_graph.relations}
    behaviors = []
    for behavior in data.interactions.behaviors:
        if behavior in excluded or not graph_config.behavior_weights.get(behavior, 1.0):
            continue
        if relations is not None and behavior not in relations:
            continue
        if data.interactions.of(behavior).any():
            behaviors.append(behavior)
    return behaviors

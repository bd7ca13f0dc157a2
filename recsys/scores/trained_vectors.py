"""What can be made of trained vectors without training again.

Users that lean on late events: encoded anew from a decaying history, by the model as trained. Items
of other lengths: training under cosine compares directions, and whose length a score should then
carry is for validation to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.encoder import Embeddings, EncoderState
from recsys.core.errors import UsageError
from recsys.core.history import UserHistories, user_histories
from recsys.core.interactions import Interactions
from recsys.encode.fold_in import UserEncoder, edge_weighting, latest_events
from recsys.graph.schema import Graph
from recsys.scores.last_results import LastResults
from recsys.search.exact import VectorScorer
from recsys.train.embed import degree_lengths


class VectorScaling(NamedTuple):
    """What is made of trained vectors before they are multiplied.

    half_life_events: a user's vector is encoded anew with each event weighing
        2^(−p / half_life_events) of what it did, p being how many of the user's events of that
        behaviour are later; None leaves users as they are.
    self_weight: factor on the users' own layer-0 states, and on that of a visitor.
    weight: 0 makes the vectors of all users zero, so that scores are what is added to them.
    length_power, popularity_power: items' vectors are multiplied by their trained length to the one
        power, and by their share of the largest degree to the other.
    """

    half_life_events: float | None = None
    self_weight: float = 1.0
    length_power: float = 0.0
    popularity_power: float = 0.0
    weight: int = 1

    @property
    def moves_users(self) -> bool:
        """Whether users have other vectors."""
        return self.half_life_events is not None or self.self_weight != 1 or not self.weight

    @property
    def stretches(self) -> bool:
        """Whether items get other lengths."""
        return bool(self.length_power or self.popularity_power)


AS_TRAINED = VectorScaling()


@dataclass(frozen=True)
class TrainedVectors:
    """The vectors of a phase as training left them. graph: of that phase."""

    interactions: Interactions
    embeddings: Embeddings
    graph: Graph

    @property
    def plain(self) -> VectorScorer:
        """The vectors as training left them."""
        return VectorScorer(self.embeddings.users, self.embeddings.items)

    @property
    def can_decay(self) -> bool:
        """Whether users can lean on late events: the textbook layers have no edge weights, and some
        logs no times.
        """
        return (
            self.interactions.time is not None and self.embeddings.encoder.family == "degree_prior"
        )

    @property
    def can_stretch(self) -> bool:
        """Whether items can have other lengths: those of an inner product are learnt."""
        return self.embeddings.item_lengths is not None

    def embeddings_of(self, scaling: VectorScaling) -> Embeddings:
        """The trained embeddings scaled; the same object where nothing is asked for."""
        embeddings = self.embeddings
        if scaling.stretches:
            embeddings = replace(embeddings, items=self.items(scaling))
        if not scaling.moves_users:
            return embeddings
        everybody = np.arange(self.interactions.num_users, dtype=np.int32)
        self_weight = np.float32(scaling.self_weight)
        encoder = replace(
            embeddings.encoder,
            half_life_events=scaling.half_life_events,
            visitor=embeddings.encoder.visitor * self_weight,
            layer_weights=embeddings.encoder.layer_weights * np.float32(scaling.weight),
            causal_block=embeddings.encoder.causal_block if scaling.weight else {},
        )
        return replace(
            embeddings,
            users=self._encoded(everybody, scaling),
            user_self=(embeddings.user_self * self_weight).astype(np.float32),
            encoder=encoder,
        )

    def users(self, users: Int32Array, scaling: VectorScaling) -> Float32Array:
        """(num_users, d) where only the rows of `users` are scaled; the others are as trained."""
        if not scaling.moves_users:
            return self.embeddings.users
        vectors = np.array(self.embeddings.users)
        vectors[users] = self._encoded(users, scaling)
        return vectors

    def items(self, scaling: VectorScaling) -> Float32Array:
        """(items, d). Raises UsageError for lengths that there are none to take."""
        if not scaling.stretches:
            return self.embeddings.items
        if self.embeddings.item_lengths is None:
            raise UsageError(
                "item vectors of an inner product have the lengths they need",
                "Leave them as trained",
            )
        # length^a · (degree / largest degree)^b
        lengths = self.embeddings.item_lengths**scaling.length_power
        lengths = lengths * degree_lengths(self.graph, scaling.popularity_power)
        return (self.embeddings.items * lengths[:, None]).astype(np.float32)

    def _encoded(self, users: Int32Array, scaling: VectorScaling) -> Float32Array:
        if not scaling.weight:
            return np.zeros((len(users), self.embeddings.users.shape[1]), np.float32)
        self_states = np.asarray(self.embeddings.user_self[users], np.float32)
        self_states = self_states * np.float32(scaling.self_weight)
        rows = {}
        for name, matrix in self._decayed_neighbours(scaling.half_life_events).items():
            rows[name] = matrix[users]
        return self._encoder.encode(rows, self_states)

    @cached_property
    def _encoder(self) -> UserEncoder:
        return UserEncoder(self.embeddings.encoder)

    @cached_property
    def _decayed_neighbours(self) -> LastResults[float | None, dict[str, sparse.csr_matrix]]:
        """By half-life; the last ones are kept: several weights of users' own states go with them."""
        neighbours = neighbours_into_users(self.graph.relations)

        histories = user_histories(self.interactions)

        def decayed(half_life_events: float | None) -> dict[str, sparse.csr_matrix]:
            encoder = replace(self.embeddings.encoder, half_life_events=half_life_events)
            return decayed_edges(neighbours, histories, encoder)

        return LastResults(decayed, size=1)


def decayed_edges(
    neighbours: Mapping[str, sparse.csr_matrix], histories: UserHistories, encoder: EncoderState
) -> dict[str, sparse.csr_matrix]:
    """`neighbours_into_users` with the events of every behaviour weighing by their places in the
    history, as the encoder has it.
    """
    decayed = dict(neighbours)
    for relation in encoder.relations:
        weighting = edge_weighting(encoder, relation)
        if relation.behavior is None or relation.name not in decayed or not weighting.reads_order:
            continue
        edges = decayed[relation.name]
        decayed[relation.name] = histories.placed_edges(edges, relation.behavior, weighting)
    return decayed | latest_events(encoder, histories)

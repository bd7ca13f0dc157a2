"""User vectors that lean on late events: every user encoded anew from a fading history, by the model as trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.closed_form.item_item import histories
from recsys.core.encoder import Embeddings, EncoderState
from recsys.core.interactions import Interactions
from recsys.graph.schema import Graph
from recsys.index.contents import neighbours_into_users
from recsys.index.exact import Floats, VectorScorer
from recsys.index.fold_in import UserEncoder

_SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class RecentUsers:
    """The users of a phase, to be encoded anew. graph: of that phase. Logs without times cannot fade."""

    interactions: Interactions
    embeddings: Embeddings
    graph: Graph

    @property
    def trained(self) -> VectorScorer:
        """The vectors as training left them."""
        return VectorScorer(self.embeddings.users, self.embeddings.items)

    @property
    def possible(self) -> bool:
        """Whether fading means anything: the textbook layers have no edge weights, and some logs no times."""
        return self.interactions.time is not None and self.embeddings.encoder.family == "degree_prior"

    def embeddings_of(self, half_life: float | None, own: float) -> Embeddings:
        """The trained embeddings with users encoded anew.

        half_life: an event weighs 2^(−p / half_life) of what it did, p being how many of the user's events of that
        behaviour are later; None leaves all as they are. own: factor on the users' own layer-0 states, and on that of
        a visitor.
        """
        if half_life is None and own == 1:
            return self.embeddings
        everybody = np.arange(self.interactions.num_users, dtype=np.int32)
        encoder = self.embeddings.encoder
        return replace(
            self.embeddings,
            users=self._encoded(everybody, half_life, own),
            user_self=(self.embeddings.user_self * np.float32(own)).astype(np.float32),
            encoder=replace(encoder, half_life_events=half_life, visitor=encoder.visitor * np.float32(own)),
        )

    def vectors(self, users: NDArray[np.int32], half_life: float | None, own: float) -> VectorScorer:
        """The same vectors where only the rows of `users` are made; the others are as trained."""
        if half_life is None and own == 1:
            return self.trained
        rows = np.array(self.embeddings.users)
        rows[users] = self._encoded(users, half_life, own)
        return VectorScorer(rows, self.embeddings.items)

    def _encoded(self, users: NDArray[np.int32], half_life: float | None, own: float) -> Floats:
        neighbours = self._faded(half_life)
        self_states = np.asarray(self.embeddings.user_self[users], np.float32) * np.float32(own)
        return self._encoder.encode({name: matrix[users] for name, matrix in neighbours.items()}, self_states)

    @cached_property
    def _encoder(self) -> UserEncoder:
        return UserEncoder(self.embeddings.encoder)

    @cached_property
    def _faded(self) -> Callable[[float | None], dict[str, sparse.csr_matrix]]:
        """Half-life → neighbours; the last ones are kept, since several weights of users' own states go with them."""
        neighbours, encoder = neighbours_into_users(self.graph.relations), self.embeddings.encoder
        return lru_cache(1)(
            lambda half_life: faded(neighbours, self.interactions, replace(encoder, half_life_events=half_life))
        )


def faded(
    neighbours: Mapping[str, sparse.csr_matrix], interactions: Interactions, encoder: EncoderState
) -> dict[str, sparse.csr_matrix]:
    """`neighbours_into_users` with the events of every behaviour fading by `encoder.half_life_events`."""
    behaviors = {relation.name: relation.behavior for relation in encoder.relations}
    if encoder.half_life_events is None:
        return dict(neighbours)
    return {
        name: _faded(matrix, histories(interactions, behavior, encoder.half_life_events))
        if (behavior := behaviors.get(name)) is not None
        else matrix
        for name, matrix in neighbours.items()
    }


def _faded(matrix: sparse.csr_matrix, decay: sparse.csr_matrix) -> sparse.csr_matrix:
    """Entry times entry: both have one for every pair of the behaviour, in the same order."""
    weights = np.maximum(matrix.data * decay.data, _SMALLEST).astype(np.float32)
    return sparse.csr_matrix((weights, matrix.indices, matrix.indptr), shape=matrix.shape)

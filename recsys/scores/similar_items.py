"""By what items are similar, chosen on validation: the cosine of their vectors, or what a visitor who
has the one item alone is recommended.

Of every user who has something held out a few items of train are drawn. Each is asked for what is
similar to it, and the list is judged like one made for the user: it is good where it holds what the
user took later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.bundle.parts.similar_items import SimilarBy
from recsys.core.arrays import Int32Array, IntArray
from recsys.core.encoder import Embeddings
from recsys.core.history import single_events
from recsys.core.noise import CHOICE_ERRORS, Difference, difference
from recsys.core.ranking import Scorer
from recsys.encode.fold_in import UserEncoder, history_neighbours
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.metrics import PerUser
from recsys.phases.phase import Phase
from recsys.scores.judged_blends import judging_users
from recsys.search.cosine import CosineSearch
from recsys.search.exact import VectorScorer, rank

ITEMS_ASKED = 3
"""Of each user: one item tells little of what they take next."""


class SimilarChoice(NamedTuple):
    """What validation chose.

    by: the vectors, unless the visitor's list is better beyond noise.
    tried: the deciding metric of each; empty where nothing could be judged.
    difference: of the visitor's list over the vectors.
    users: by how many.
    """

    by: SimilarBy
    tried: Mapping[SimilarBy, float]
    difference: Difference | None = None
    users: int = 0


def choose_similar(
    phase: Phase, embeddings: Embeddings, added: HistoryScores | None
) -> SimilarChoice:
    """By what items are similar in a model.

    Args:
        phase: Judged by its held-out users.
        embeddings: Scaled as the blend says.
        added: What histories add to the scores; None for vectors alone.
    """
    asked = _asked(phase)
    if not len(asked.item):
        return SimilarChoice("vectors", {})
    by_vectors = _values(phase, asked, CosineSearch(embeddings.items).scorer(asked.items))
    by_visitor = _values(phase, asked, _of_visitors(phase, embeddings, added, asked.items))
    gain = difference(by_visitor, by_vectors)
    tried: dict[SimilarBy, float] = {
        "vectors": float(by_vectors.mean()),
        "visitor": float(by_visitor.mean()),
    }
    by: SimilarBy = "visitor" if gain.beyond(CHOICE_ERRORS) else "vectors"
    return SimilarChoice(by, tried, gain, len(by_vectors))


@dataclass(frozen=True)
class _Asked:
    """Which items are asked for.

    user: (n,) internal id of the user whose item it is, ascending.
    item: (n,) its place in `items`.
    items: (m,) internal ids, each once.
    """

    user: Int32Array
    item: IntArray
    items: Int32Array


def _asked(phase: Phase) -> _Asked:
    """A few items of each judging user, drawn by the seed of the run."""
    rng = np.random.default_rng(phase.config.seed)
    pairs = phase.interactions.matrix((phase.target,))
    users: list[int] = []
    items: list[int] = []
    if len(phase.judge.held_out_users):
        for user in judging_users(phase).tolist():
            had = pairs.indices[pairs.indptr[user] : pairs.indptr[user + 1]]
            drawn = rng.permutation(had)[:ITEMS_ASKED]
            users.extend([user] * len(drawn))
            items.extend(drawn.tolist())
    each_once, place = np.unique(np.array(items, np.int32), return_inverse=True)
    return _Asked(np.array(users, np.int32), place, each_once)


def _of_visitors(
    phase: Phase, embeddings: Embeddings, added: HistoryScores | None, items: Int32Array
) -> Scorer:
    """Scores of all items for a visitor with each of `items` alone, a row for each."""
    histories = single_events(phase.histories, items, phase.target)
    neighbours = history_neighbours(embeddings.encoder, histories)
    vectors = VectorScorer(UserEncoder(embeddings.encoder).encode(neighbours), embeddings.items)
    if added is None:
        return vectors
    return BlendedScorer(vectors, added, added.weighted(histories, phase.target))


def _values(phase: Phase, asked: _Asked, scorer: Scorer) -> PerUser:
    """(users,) the mean of the deciding metric over the lists of each user's items."""
    k = phase.config.train.metric_k
    hidden = _hidden(phase, asked)
    rows = np.arange(len(asked.item), dtype=np.int32)
    lists = rank(_Rows(scorer, asked.item), rows, k, hidden, threads=phase.config.threads).items
    values = deciding_per_user(lists, asked.user, phase.judge.held_out_matrix, k)
    _, place, counts = np.unique(asked.user, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(place, values) / counts)


def _hidden(phase: Phase, asked: _Asked) -> sparse.csr_matrix:
    """(n, items) what the user has seen, and the item itself."""
    ones = np.ones(len(asked.item), np.int8)
    rows = np.arange(len(asked.item))
    shape = (len(asked.item), phase.interactions.num_items)
    itself = sparse.csr_matrix((ones, (rows, asked.items[asked.item])), shape=shape)
    return (phase.seen[asked.user].astype(np.int8) + itself).tocsr()


@dataclass(frozen=True)
class _Rows:
    """Rows of another scorer, which may come more than once. place: (n,) of each row there."""

    scorer: Scorer
    place: IntArray

    def score(self, users: Int32Array) -> np.ndarray:
        return self.scorer.score(self.place[users].astype(np.int32))

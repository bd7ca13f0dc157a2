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
    queries = _draw_queries(phase)
    if not len(queries.item):
        return SimilarChoice("vectors", {})
    by_vectors = _values(phase, queries, CosineSearch(embeddings.items).scorer(queries.items))
    by_visitor = _values(phase, queries, _of_visitors(phase, embeddings, added, queries.items))
    gain = difference(by_visitor, by_vectors)
    tried: dict[SimilarBy, float] = {
        "vectors": float(by_vectors.mean()),
        "visitor": float(by_visitor.mean()),
    }
    by: SimilarBy = "visitor" if gain.beyond(CHOICE_ERRORS) else "vectors"
    return SimilarChoice(by, tried, gain, len(by_vectors))


@dataclass(frozen=True)
class _Queries:
    """Which items are asked for.

    user: (n,) internal id of the user whose item it is, ascending.
    item: (n,) its position in `items`.
    items: (m,) internal ids, each once.
    """

    user: Int32Array
    item: IntArray
    items: Int32Array


def _draw_queries(phase: Phase) -> _Queries:
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
    each_once, position = np.unique(np.array(items, np.int32), return_inverse=True)
    return _Queries(np.array(users, np.int32), position, each_once)


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


def _values(phase: Phase, queries: _Queries, scorer: Scorer) -> PerUser:
    """(users,) the mean of the deciding metric over the lists of each user's items."""
    k = phase.config.train.metric_k
    hidden = _hidden(phase, queries)
    rows = np.arange(len(queries.item), dtype=np.int32)
    lists = rank(_Rows(scorer, queries.item), rows, k, hidden, threads=phase.config.threads).items
    values = deciding_per_user(lists, queries.user, phase.judge.held_out_matrix, k)
    _, user_row, counts = np.unique(queries.user, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(user_row, values) / counts)


def _hidden(phase: Phase, queries: _Queries) -> sparse.csr_matrix:
    """(n, items) what the user has seen, and the item itself."""
    ones = np.ones(len(queries.item), np.int8)
    rows = np.arange(len(queries.item))
    shape = (len(queries.item), phase.interactions.num_items)
    itself = sparse.csr_matrix((ones, (rows, queries.items[queries.item])), shape=shape)
    return (phase.seen[queries.user].astype(np.int8) + itself).tocsr()


@dataclass(frozen=True)
class _Rows:
    """Rows of another scorer, which may come more than once. position: (n,) of each row there."""

    scorer: Scorer
    position: IntArray

    def score(self, users: Int32Array) -> np.ndarray:
        return self.scorer.score(self.position[users].astype(np.int32))

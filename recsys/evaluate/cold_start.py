"""What little is known suffices for: visitors with their last few events, and items that nobody
took in train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from recsys.closed_form.popularity import Popularity
from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, IntArray
from recsys.core.encoder import EncoderState
from recsys.core.history import WeightedHistories, user_histories
from recsys.core.interactions import Interactions
from recsys.core.intervals import bootstrap_means, difference
from recsys.core.ranking import Scorer
from recsys.encode.fold_in import Neighbours, UserEncoder
from recsys.encode.history_scores import BlendedScorer
from recsys.evaluate.deciding import deciding_metric
from recsys.evaluate.document import ColdItems, ContentRow, VisitorRow
from recsys.evaluate.metrics import evaluable_users, evenly, rank_metrics
from recsys.evaluate.slices import SPARSE
from recsys.search.exact import VectorScorer, rank

LENGTHS = (0, 1, 2, 5, 10, 20)
_MOST_USERS = 2_000
PerUser = Float64Array


@dataclass(frozen=True)
class Trained:
    """A trained model as it scores known users, and what encodes anybody else.

    neighbours: (users, items) what users hear from items they took, as the encoder reads it.
    popular: (items,) by which those of whom nothing is known are answered.
    """

    scorer: VectorScorer | BlendedScorer
    encoder: EncoderState
    neighbours: Neighbours
    popular: Float32Array

    def visitors(self, kept: sparse.csr_matrix, users: Int32Array) -> Scorer:
        """The same for `users` if they had come for the first time with the events `kept` (users,
        items), 1 for each.
        """
        known = self.scorer if isinstance(self.scorer, VectorScorer) else self.scorer.vectors
        vectors = np.zeros((len(known.user_vectors), known.user_vectors.shape[1]), np.float32)
        neighbours = {}
        for name, edges in self.neighbours.items():
            neighbours[name] = edges.multiply(kept).tocsr()[users]
        vectors[users] = UserEncoder(self.encoder).encode(neighbours)
        scorer = VectorScorer(vectors, known.item_vectors)
        if isinstance(self.scorer, VectorScorer):
            return scorer
        nothing = sparse.csr_matrix(kept.shape, dtype=np.float32)
        past = self.scorer.histories
        history = past.items.multiply(kept).tocsr().astype(np.float32)
        return BlendedScorer(
            scorer,
            self.scorer.added,
            WeightedHistories(history, dict.fromkeys(past.auxiliary, nothing)),
        )


def visitor_rows(
    trained: Trained,
    interactions: Interactions,
    target: str,
    held_out: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    k: int,
    draws: int,
    seed: int,
) -> list[VisitorRow]:
    """NDCG@k of users with their trained vector and as visitors with their last events, on the same
    users.

    For each of LENGTHS the test users with at least so many events of the target, at most 2,000
    spread evenly over them; of 0 events nothing is known. Logs without times take events in an
    order drawn by `seed`. seen: (users, items), left out of every list.
    """
    later = later_events(interactions, target, seed)
    rows = []
    for length in LENGTHS:
        users = evaluable_users(held_out)
        users = evenly(users[np.diff(later.indptr)[users] >= length], _MOST_USERS)
        if len(users):
            visitors = (
                trained.visitors(_first(later, length), users)
                if length
                else Popularity(trained.popular)
            )
            values = [
                _ndcg(rank(scorer, users, k, seen).items, users, held_out, k)
                for scorer in (trained.scorer, visitors)
            ]
            rows.append(_row(length, values, draws, seed))
    return rows


def later_events(interactions: Interactions, target: str, seed: int) -> sparse.csr_matrix:
    """(users, items) with 1 + how many of the user's pairs are later, for each pair of the target
    behaviour.
    """
    if interactions.time is None:
        rows = np.flatnonzero(interactions.of(target))
        drawn = np.zeros(len(interactions), np.int64)
        drawn[rows] = np.random.default_rng(seed).permutation(len(rows))
        interactions = replace(interactions, time=drawn)
    histories = user_histories(interactions)
    latest = histories.latest_rows((target,))
    position = 1 + histories.num_later(latest)
    shape = (interactions.num_users, interactions.num_items)
    pairs = (histories.user[latest], histories.item[latest])
    return sparse.csr_matrix((position.astype(np.float32), pairs), shape=shape)


def cold_items(
    users: Float32Array, items: Float32Array, placed: BoolArray, held_out: sparse.csr_matrix, k: int
) -> ColdItems | None:
    """How items that nobody took in train rank among themselves; None when no user of train took
    one in the test.

    users: (users, d). items: (cold, d), all zeros where not `placed`. held_out: (users, cold) test
    pairs.
    """
    judged = evaluable_users(held_out)
    if not len(judged) or not placed.any():
        return None
    ranked = rank(VectorScorer(users, items), judged, k, candidates=placed).items
    value = float(_ndcg(ranked, judged, held_out, k).mean())
    return ColdItems(
        items=len(items),
        placed=int(placed.sum()),
        users=len(judged),
        rows=held_out.nnz,
        value=value,
        by_chance=expected_ndcg(np.diff(held_out.indptr)[judged], len(items), k),
    )


def cold_item_values(
    users: Float32Array, items: Float32Array, placed: BoolArray, held_out: sparse.csr_matrix, k: int
) -> PerUser:
    """(users with a held-out cold item,) the deciding metric; arguments as of `cold_items`."""
    judged = evaluable_users(held_out)
    if not placed.any():
        return np.zeros(len(judged))
    ranked = rank(VectorScorer(users, items), judged, k, candidates=placed).items
    return _ndcg(ranked, judged, held_out, k)


def sparse_held_out(
    train: Interactions, target: str, held_out: sparse.csr_matrix
) -> sparse.csr_matrix:
    """(users, items) the held-out pairs of items of which train holds at most SPARSE pairs."""
    counts = np.diff(train.matrix((target,)).tocsc().indptr)
    rare = sparse.diags((counts <= SPARSE).astype(np.float32))
    rare_pairs = (held_out @ rare).tocsr()
    rare_pairs.eliminate_zeros()
    return rare_pairs


def held_out_values(
    scorer: Scorer, held_out: sparse.csr_matrix, seen: sparse.csr_matrix, k: int
) -> PerUser:
    """(users with a held-out pair,) the deciding metric."""
    judged = evaluable_users(held_out)
    return _ndcg(rank(scorer, judged, k, seen).items, judged, held_out, k)


def content_row(
    group: Literal["cold items", "sparse items"],
    values: PerUser,
    without: PerUser,
    num_rows: int,
    draws: int,
    seed: int,
) -> ContentRow:
    """What texts and pictures bring on a kind of items.

    Args:
        group: The kind.
        values: (users,) with them.
        without: (users,) of the same users, with attributes alone.
        num_rows: Held-out pairs.
        draws: Of the bootstrap.
        seed: Of the draws.

    Returns:
        The line of the report.
    """
    means = bootstrap_means(np.stack([values, without], axis=1), draws, seed)
    apart = difference(values, without, means[:, 0], means[:, 1])
    return ContentRow(
        group=group,
        users=len(values),
        rows=num_rows,
        value=float(values.mean()),
        without=float(without.mean()),
        difference=apart.mean,
        low=apart.low,
        high=apart.high,
    )


def expected_ndcg(held: IntArray, candidates: int, k: int) -> float:
    """Mean over users of NDCG@k in a random order: each place holds a hit with probability held /
    candidates.
    """
    gain = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(gain)[np.minimum(held, k) - 1]
    return float((held / candidates * gain[: min(k, candidates)].sum() / ideal).mean())


def _first(later: sparse.csr_matrix, length: int) -> sparse.csr_matrix:
    """1 for the last `length` events of every user."""
    first = later.copy()
    first.data = (first.data <= length).astype(np.float32)
    first.eliminate_zeros()
    return first


def _row(length: int, values: Sequence[PerUser], draws: int, seed: int) -> VisitorRow:
    known, visitor = values
    means = bootstrap_means(np.stack([visitor, known], axis=1), draws, seed)
    apart = difference(visitor, known, means[:, 0], means[:, 1])
    return VisitorRow(
        events=length,
        users=len(known),
        trained=float(known.mean()),
        visitor=float(visitor.mean()),
        difference=apart.mean,
        low=apart.low,
        high=apart.high,
    )


def _ndcg(ranked: Int32Array, users: Int32Array, held_out: sparse.csr_matrix, k: int) -> PerUser:
    per_user: Mapping[str, PerUser] = rank_metrics(ranked, users, held_out, [k]).per_user
    return per_user[deciding_metric(k)]

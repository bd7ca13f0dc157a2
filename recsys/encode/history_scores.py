"""What the items of a history add to the inner products of vectors, in evaluation and serving
alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Float64Array, FloatArray, Int32Array, IntArray
from recsys.core.history import UserHistories, WeightedHistories
from recsys.search.exact import VectorScorer, pairs_of

LENGTH_POWER = 0.75  # between a sum over the history and its mean; as good as any on Gowalla


@dataclass(frozen=True)
class HistoryScores:
    """Added to the inner product of user u and item i:

    Σ_j h_uj (table_ji + ⟨into_j, back_i⟩) / (Σ_j h_uj)^¾ + Σ_b [i in u's items under b] gain_b(i) +
    trend_i + popular_i, h_uj being the weight of item j in the history of u.

    table: (items, items) float32, the item–item table: row j holds what item j of a history adds to
        others; none negative.
    into, back: (items, rank) float32, the low-pass factors; rank 0 for none. Where `back` has one
        column more, that is the trend: what an item gains in everybody's lists for being popular of
        recent days. A second one is what it gains for being popular.
    half_life_events: events after which one of a history counts half; None where all count alike.
    auxiliary_gains: by behaviour b other than the target, (items,) float32, what an item gains in
        the lists of users who viewed it, say, and did not buy it; none negative.
    auxiliary_weights: by behaviour other than the target, what its items weigh in a history, as
        against 1 of the target.

    All with their weights multiplied in.
    """

    table: sparse.csr_matrix
    into: Float32Array
    back: Float32Array
    half_life_events: float | None = None
    auxiliary_gains: Mapping[str, Float32Array] = field(default_factory=dict)
    auxiliary_weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def auxiliary_behaviors(self) -> tuple[str, ...]:
        """Behaviours other than the target that count."""
        return tuple(dict.fromkeys([*self.auxiliary_gains, *self.auxiliary_weights]))

    def weighted(self, histories: UserHistories, target: str) -> WeightedHistories:
        """Histories as these scores read them. Raises UsageError for a half-life without times."""
        behavior_weights = {target: 1.0, **self.auxiliary_weights}
        return histories.weighted(behavior_weights, self.half_life_events, self.auxiliary_behaviors)

    @property
    def rank(self) -> int:
        """Of the low-pass."""
        return int(self.into.shape[1])

    @cached_property
    def trend(self) -> Float32Array:
        """(items,) the trend's column of `back`; zeros where there is none."""
        if self.back.shape[1] > self.rank:
            return self.back[:, self.rank]
        return np.zeros(len(self.back), np.float32)

    @cached_property
    def popular(self) -> Float32Array:
        """(items,) popularity's column of `back`; zeros where there is none."""
        if self.back.shape[1] > self.rank + 1:
            return self.back[:, self.rank + 1]
        return np.zeros(len(self.back), np.float32)

    def sparse_scores(self, histories: WeightedHistories) -> sparse.csr_matrix:
        """(users, items) what the item–item table and auxiliary behaviours add."""
        scores = self.table_scores(histories.items)
        if self.auxiliary_gains:
            scores = scores + self.gains_of(histories)
        return scores.astype(np.float32, copy=False)

    def table_scores(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """(users, items) what the item–item table adds."""
        # h_u · table / (Σ_j h_uj)^¾
        scale = _length_scale(_totals(histories))
        scale_of_entries = np.repeat(scale, np.diff(histories.indptr))
        entries = (histories.data * scale_of_entries, histories.indices, histories.indptr)
        scaled = sparse.csr_matrix(entries, shape=histories.shape)
        return (scaled @ self.table).tocsr()

    def gains_of(self, histories: WeightedHistories) -> sparse.csr_matrix:
        """(users, items) what auxiliary behaviours add."""
        total = sparse.csr_matrix(histories.items.shape, dtype=np.float32)
        for behavior, gain in self.auxiliary_gains.items():
            total = total + _gains_of(histories.auxiliary[behavior], gain)
        return total

    def dense_scores(self, histories: sparse.csr_matrix) -> Float32Array | None:
        """(users, items) what the item–item table and the low-pass add; None where they add nothing."""
        if not self.table.nnz and not self.rank:
            return None
        scores = np.zeros(histories.shape, np.float32)
        if self.rank:
            # h_u · into · backᵀ / (Σ_j h_uj)^¾
            queries = self.queries(histories)[:, : self.rank]
            scores += queries @ self.back[:, : self.rank].T
        if self.table.nnz:
            scores += self.table_scores(histories).toarray()
        return scores

    @property
    def everybody(self) -> Float32Array | None:
        """(items,) what every list gets; None for nothing."""
        columns = self.back[:, self.rank :]
        return columns.sum(axis=1) if columns.shape[1] else None

    def queries(self, histories: sparse.csr_matrix) -> Float32Array:
        """(users, columns of `back`) vectors whose inner products with it are low-pass, trend and
        popularity.
        """
        # h_u · into / (Σ_j h_uj)^¾
        scale = _length_scale(_totals(histories))
        low_pass = scale[:, None] * (histories @ self.into)
        everybody = np.ones((len(low_pass), self.back.shape[1] - self.rank))
        return np.hstack([low_pass, everybody]).astype(np.float32)

    def widened(
        self, users: Float32Array, items: Float32Array, histories: sparse.csr_matrix
    ) -> tuple[Float32Array, Float32Array]:
        """Vectors of users (n, d + columns of `back`) and items with low-pass and trend beside the
        trained ones: one inner product.
        """
        if not self.back.shape[1]:
            return users, items
        return np.hstack([users, self.queries(histories)]), np.hstack([items, self.back])

    def shares(self, entries: IntArray, weights: FloatArray, items: IntArray) -> Float64Array:
        """(n, k) what each entry of one history adds to each of k items; weights: (n,) h_uj."""
        added = self.table[entries][:, items].toarray().astype(np.float64)
        if self.rank:
            added += self.into[entries] @ self.back[items, : self.rank].T
        # h_uj / (Σ_j h_uj)^¾
        shares = weights * _length_scale(weights.sum(dtype=np.float64, keepdims=True))
        return np.asarray(shares[:, None] * added)


@dataclass(frozen=True)
class BlendedScorer:
    """Inner products and what the history of every user adds."""

    vectors: VectorScorer
    added: HistoryScores
    histories: WeightedHistories

    @cached_property
    def wide(self) -> VectorScorer:
        """The trained vectors with low-pass and trend beside them."""
        users, items = self.vectors.user_vectors, self.vectors.item_vectors
        return VectorScorer(*self.added.widened(users, items, self.histories.items))

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        scores = self.wide.score(users)
        added = self.sparse_scores(users)
        scores[pairs_of(added, np.arange(len(users)))] += added.data
        return scores

    def sparse_scores(self, users: Int32Array) -> sparse.csr_matrix:
        """(len(users), items) what is added beside the inner products of `wide`."""
        return self.added.sparse_scores(self.histories.of(users))


def searched(scorer: VectorScorer | BlendedScorer) -> VectorScorer:
    """The vectors whose inner products an index looks up."""
    return scorer.wide if isinstance(scorer, BlendedScorer) else scorer


def _gains_of(auxiliary: sparse.csr_matrix, gain: Float32Array) -> sparse.csr_matrix:
    """(users, items) `gain` (items,) at every entry of `auxiliary`."""
    values = gain[auxiliary.indices]
    return sparse.csr_matrix((values, auxiliary.indices, auxiliary.indptr), shape=auxiliary.shape)


def _totals(histories: sparse.csr_matrix) -> Float64Array:
    """(users,) Σ_j h_uj."""
    return np.asarray(histories.sum(axis=1), np.float64).ravel()


def _length_scale(totals: Float64Array) -> Float32Array:
    """(users,) (Σ_j h_uj)^(−¾), 0 without a history."""
    scale = np.zeros(len(totals))
    np.power(totals, -LENGTH_POWER, out=scale, where=totals > 0)
    return scale.astype(np.float32)

"""What the items of a history add to the inner products of vectors, in evaluation and serving
alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.core.history import UserHistories, WeightedHistories
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.exact import VectorScorer, pairs_of

_GATHERED_NUMBERS = 1 << 24  # of the candidates' vectors at once: 64 MB
_LENGTH_POWER = 0.75  # between a sum over the history and its mean; as good as any on Gowalla


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
        scores.sort_indices()
        return scores.astype(np.float32)

    def table_scores(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """(users, items) what the item–item table adds."""
        # h_u · table / (Σ_j h_uj)^¾
        scale = sparse.diags(_length_scale(histories))
        return (scale @ histories @ self.table).tocsr()

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
        low_pass = _length_scale(histories)[:, None] * (histories @ self.into)
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

    def parts(self, history: sparse.csr_matrix, item: int) -> Float32Array:
        """(entries of `history`,) what each of them adds to one item; history: (1, items)."""
        from_table = self.table[history.indices, item].toarray().ravel()
        from_low_pass = self.into[history.indices] @ self.back[item, : self.rank]
        weights = _length_scale(history)[0] * history.data
        return np.asarray(weights * (from_table + from_low_pass), np.float32)


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


def with_sparse_scores(
    hits: Hits,
    queries: Float32Array,
    item_vectors: Float32Array,
    added: sparse.csr_matrix,
    exclude: sparse.csr_matrix | None = None,
    allow: BoolArray | None = None,
) -> Hits:
    """The k best items by inner product plus `added`, from the k best by inner product alone.

    No other item can be among them than these k and those that something is added to, since nothing
    added is negative: so the lists are exact where `hits` are.

    Args:
        hits: (n, k) best by inner product.
        queries: (n, d).
        item_vectors: (items, d).
        added: (n, items) `HistoryScores.sparse_scores`.
        exclude: (n, items) as `hits` were searched with.
        allow: (items,) as `hits` were searched with.

    Returns:
        (n, k) hits with their whole scores.
    """
    best_items = np.full_like(hits.items, NO_ITEM)
    best_scores = np.full_like(hits.scores, -np.inf)
    allowed = _allowed_entries(added, exclude, allow)
    for start, stop in _row_blocks(allowed, hits.items.shape[1], item_vectors.shape[1]):
        rows = slice(start, stop)
        row, item, gain = _candidates(hits.items[rows], allowed[rows])
        products = np.einsum("nd,nd->n", item_vectors[item], queries[rows][row], dtype=np.float32)
        values = products + gain
        # Best first in each row, ties by the smaller id.
        order = np.lexsort((item, -values, row))
        row = row[order]
        lengths = np.bincount(row, minlength=stop - start)
        position = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        listed = position < best_items.shape[1]
        row, position, order = row[listed], position[listed], order[listed]
        best_items[rows][row, position] = item[order]
        best_scores[rows][row, position] = values[order]
    return Hits(best_items, best_scores)


def _allowed_entries(
    added: sparse.csr_matrix, exclude: sparse.csr_matrix | None, allow: BoolArray | None
) -> sparse.csr_matrix:
    """The entries above 0 of items that may be listed."""
    num_rows, num_items = added.shape
    is_candidate = added.data > 0
    if allow is not None:
        is_candidate &= allow[added.indices]
    if exclude is not None and exclude.nnz:
        # A pair of row and item as one number.
        row = np.repeat(np.arange(num_rows), np.diff(added.indptr))
        pairs = row * np.int64(num_items) + added.indices
        excluded_row, excluded_item = pairs_of(exclude, np.arange(num_rows))
        is_candidate &= ~np.isin(pairs, excluded_row * np.int64(num_items) + excluded_item)
    entries_before = np.concatenate([[0], np.cumsum(is_candidate)])
    indptr = entries_before[added.indptr]
    values, items = added.data[is_candidate], added.indices[is_candidate]
    return sparse.csr_matrix((values, items, indptr), shape=added.shape)


def _row_blocks(added: sparse.csr_matrix, k: int, width: int) -> Iterator[tuple[int, int]]:
    """Runs of rows whose candidates' vectors can be gathered at once; at least a row each."""
    num_rows = added.shape[0]
    candidates_before = added.indptr + k * np.arange(num_rows + 1)
    limit = max(_GATHERED_NUMBERS // max(width, 1), 1)
    start = 0
    while start < num_rows:
        last = np.searchsorted(candidates_before, candidates_before[start] + limit, side="right")
        stop = max(start + 1, int(last) - 1)
        yield start, stop
        start = stop


def _candidates(
    by_vector: Int32Array, added: sparse.csr_matrix
) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Items that may be listed, by row and ascending: the best by vector and those that something
    is added to.

    Args:
        by_vector: (n, k) the best by inner product, NO_ITEM behind the last.
        added: (n, items).

    Returns:
        (candidates,) row, item and what is added to it.
    """
    num_items = np.int64(added.shape[1])
    row, column = np.nonzero(by_vector != NO_ITEM)
    nearest = row * num_items + by_vector[row, column]
    added_row = np.repeat(np.arange(added.shape[0]), np.diff(added.indptr))
    with_gain = added_row * num_items + added.indices
    pairs = np.union1d(nearest, with_gain)
    gain = np.zeros(len(pairs), np.float32)
    gain[np.searchsorted(pairs, with_gain)] = added.data
    rows, items = np.divmod(pairs, num_items)
    return rows, items, gain


def _gains_of(auxiliary: sparse.csr_matrix, gain: Float32Array) -> sparse.csr_matrix:
    """(users, items) `gain` (items,) at every entry of `auxiliary`."""
    values = gain[auxiliary.indices]
    return sparse.csr_matrix((values, auxiliary.indices, auxiliary.indptr), shape=auxiliary.shape)


def _length_scale(histories: sparse.csr_matrix) -> Float32Array:
    """(users,) (Σ_j h_uj)^(−¾), 0 without a history."""
    total = np.asarray(histories.sum(axis=1), np.float64).ravel()
    scale = np.zeros(len(total))
    np.power(total, -_LENGTH_POWER, out=scale, where=total > 0)
    return scale.astype(np.float32)

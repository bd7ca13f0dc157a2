"""What the items of a history add to the inner products of vectors, in evaluation and serving
alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, IntArray
from recsys.core.history import UserHistories, WeightedHistories
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.exact import VectorScorer, pairs_of

_LENGTH_POWER = (
    0.75  # between a sum over the history and its mean; on Gowalla's validation as good as any
)


@dataclass(frozen=True)
class HistoryScores:
    """Added to the inner product of user u and item i:

    Σ_j h_uj (table_ji + ⟨into_j, back_i⟩) / (Σ_j h_uj)^¾ + Σ_b [u met i under b] gain_b(i) +
    trend_i.

    table: (items, items) float32, the item–item table, row j being what j lends; none negative.
    into, back: (items, rank) float32, the low-pass factors; rank 0 for none. Where `back` has one
    column more, that is the trend: what an item gains in everybody's lists for being taken of late.
    half_life_events: events after which one of a history counts half, None where all count alike.
    gain: by behaviour b other than the target, (items,)
    float32, what an item gains in the lists of users who viewed it, say, and did not buy it; none
    negative. All with their weights multiplied in. heard: by other behaviour, what an item met
    under it counts in a history, as against 1 of the target.
    """

    table: sparse.csr_matrix
    into: Float32Array
    back: Float32Array
    half_life_events: float | None = None
    gain: Mapping[str, Float32Array] = field(default_factory=dict)
    heard: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> tuple[str, ...]:
        """Behaviours other than the target that count."""
        return tuple(dict.fromkeys([*self.gain, *self.heard]))

    def weighted(self, histories: UserHistories, target: str) -> WeightedHistories:
        """Histories as these scores read them. Raises UsageError for a half-life without times."""
        behavior_weights = {target: 1.0, **self.heard}
        return histories.weighted(behavior_weights, self.half_life_events, self.met)

    @property
    def rank(self) -> int:
        """Of the low-pass."""
        return int(self.into.shape[1])

    @cached_property
    def trend(self) -> Float32Array:
        """(items,) the column of `back`, read where it is asked; nothing but zeros where there is
        none.
        """
        return (
            self.back[:, self.rank]
            if self.back.shape[1] > self.rank
            else np.zeros(len(self.back), np.float32)
        )

    def lend(self, past: WeightedHistories) -> sparse.csr_matrix:
        """(users, items) what the table adds, and what was met."""
        lent = (sparse.diags(_shares(past.items)) @ past.items @ self.table).tocsr()
        for behavior, gain in self.gain.items():
            lent = lent + gained(past.auxiliary[behavior], gain)
        lent.sort_indices()
        return lent.astype(np.float32)

    def queries(self, histories: sparse.csr_matrix) -> Float32Array:
        """(users, columns of `back`) vectors whose inner products with it are what low-pass and
        trend add.
        """
        low_pass = _shares(histories)[:, None] * (histories @ self.into)
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
        column = (
            self.table[history.indices, item].toarray().ravel()
            + self.into[history.indices] @ self.back[item, : self.rank]
        )
        return np.asarray(_shares(history)[0] * history.data * column, np.float32)

    def extended(
        self, old: WeightedHistories, events: Sequence[tuple[str, int]], target: str
    ) -> WeightedHistories:
        """A past of one user with later events: (behaviour, dense item), the latest last."""
        weights = {target: 1.0, **self.heard}
        counted = [(item, weights[behavior]) for behavior, item in events if behavior in weights]
        history = self._with_events(old.items, counted) if counted else old.items
        met = {
            name: [item for behavior, item in events if behavior == name] for name in old.auxiliary
        }
        auxiliary = {name: _with_entries(row, met[name]) for name, row in old.auxiliary.items()}
        return WeightedHistories(history, auxiliary)

    def _with_events(
        self, old: sparse.csr_matrix, counted: Sequence[tuple[int, float]]
    ) -> sparse.csr_matrix:
        new = np.array(list(dict.fromkeys(item for item, _ in reversed(counted)))[::-1])
        place = np.arange(len(new))
        decay = (
            1.0
            if self.half_life_events is None
            else np.exp2(-(len(new) - 1 - place) / self.half_life_events)
        )
        faded = (
            old
            if self.half_life_events is None
            else old * float(np.exp2(-len(new) / self.half_life_events))
        )
        most: dict[int, float] = {}
        for item, weight in counted:
            most[item] = max(weight, most.get(item, 0.0))
        added = np.zeros(old.shape[1], np.float32)
        added[new] = decay * np.array([most[item] for item in new])
        return faded.maximum(sparse.csr_matrix(added[None])).tocsr().astype(np.float32)


@dataclass(frozen=True)
class BlendedScorer:
    """Inner products and what the past of every user adds."""

    vectors: VectorScorer
    added: HistoryScores
    past: WeightedHistories

    @cached_property
    def wide(self) -> VectorScorer:
        """The trained vectors with low-pass and trend beside them."""
        return VectorScorer(
            *self.added.widened(
                self.vectors.user_vectors, self.vectors.item_vectors, self.past.items
            )
        )

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32."""
        scores = self.wide.score(users)
        lent = self.lent(users)
        scores[pairs_of(lent, np.arange(len(users)))] += lent.data
        return scores

    def lent(self, users: Int32Array) -> sparse.csr_matrix:
        """(len(users), items) what is added beside the inner products of `wide`."""
        return self.added.lend(self.past.of(users))


def searched(scorer: VectorScorer | BlendedScorer) -> VectorScorer:
    """The vectors whose inner products an index looks up."""
    return scorer.wide if isinstance(scorer, BlendedScorer) else scorer


def gained(met: sparse.csr_matrix, gain: Float32Array) -> sparse.csr_matrix:
    """(users, items) `gain` (items,) at every entry of `met`."""
    return sparse.csr_matrix((gain[met.indices], met.indices, met.indptr), shape=met.shape)


def _with_entries(row: sparse.csr_matrix, columns: Sequence[int]) -> sparse.csr_matrix:
    """(1, items) entries of `row` and of `columns`."""
    indices = np.union1d(row.indices, np.array(columns, np.int32)).astype(np.int32)
    return sparse.csr_matrix(
        (np.ones(len(indices), np.int8), indices, [0, len(indices)]), shape=row.shape
    )


def _shares(histories: sparse.csr_matrix) -> Float32Array:
    """(users,) (Σ_j h_uj)^(−¾), 0 without a history."""
    total = np.asarray(histories.sum(axis=1), np.float64).ravel()
    shares = np.zeros(len(total))
    np.power(total, -_LENGTH_POWER, out=shares, where=total > 0)
    return shares.astype(np.float32)


def with_lent(
    hits: Hits,
    queries: Float32Array,
    item_vectors: Float32Array,
    lent: sparse.csr_matrix,
    exclude: sparse.csr_matrix | None = None,
    allow: BoolArray | None = None,
) -> Hits:
    """The k best items by inner product plus `lent` (n, items), from the k best by inner product
    alone.

    No other item can be among them than these k and those that something is lent to, since nothing
    lent is negative: so the lists are exact where `hits` are. exclude, allow: as `hits` were
    searched with.
    """
    found = [
        _row(
            hits.items[row],
            queries[row],
            item_vectors,
            lent[row],
            None if exclude is None else exclude[row],
            allow,
        )
        for row in range(len(queries))
    ]
    k = hits.items.shape[1]
    items, scores = (
        np.full((len(found), k), NO_ITEM, np.int32),
        np.full((len(found), k), -np.inf, np.float32),
    )
    for row, (best, values) in enumerate(found):
        items[row, : len(best[:k])], scores[row, : len(best[:k])] = best[:k], values[:k]
    return Hits(items, scores)


def _row(
    by_vector: Int32Array,
    query: Float32Array,
    item_vectors: Float32Array,
    lent: sparse.csr_matrix,
    exclude: sparse.csr_matrix | None,
    allow: BoolArray | None,
) -> tuple[IntArray, Float32Array]:
    """Candidates of one query, best first, ties by the smaller id, and their scores."""
    added = np.zeros(len(item_vectors), np.float32)
    added[lent.indices] = lent.data
    open_to = np.zeros(len(item_vectors), bool)
    open_to[lent.indices] = True
    if allow is not None:
        open_to &= allow
    if exclude is not None:
        open_to[exclude.indices] = False
    open_to[by_vector[by_vector != NO_ITEM]] = True
    candidates = np.flatnonzero(open_to)
    scores = (item_vectors[candidates] @ query + added[candidates]).astype(np.float32)
    order = np.lexsort((candidates, -scores))
    return candidates[order], scores[order]

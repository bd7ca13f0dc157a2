"""What the items of a history add to the inner products of vectors, in evaluation and serving alike."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.ranking import NO_ITEM, Hits
from recsys.index.exact import Floats, VectorScorer, pairs_of

_LENGTH_POWER = 0.75  # between a sum over the history and its mean; on Gowalla's validation as good as any


@dataclass(frozen=True)
class HistoryScores:
    """Added to the inner product of user u and item i: Σ_j h_uj (table_ji + ⟨into_j, back_i⟩) / (Σ_j h_uj)^¾.

    table: (items, items) float32, the item–item table, row j being what j lends; none negative. into, back: (items, rank)
    float32, the low-pass factors; rank 0 for none. Both with their weights multiplied in. half_life: events after
    which one of a history counts half, None where all count alike (`closed_form.item_item.histories`).
    """

    table: sparse.csr_matrix
    into: Floats
    back: Floats
    half_life: float | None = None

    def lend(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """(users, items) what the table adds, from (users, items) weights h of the items of each user's history."""
        lent = (sparse.diags(_shares(histories)) @ histories @ self.table).tocsr()
        lent.sort_indices()
        return lent.astype(np.float32)

    def queries(self, histories: sparse.csr_matrix) -> Floats:
        """(users, rank) vectors whose inner products with `back` are what the low-pass adds."""
        return np.asarray(_shares(histories)[:, None] * (histories @ self.into), np.float32)

    def widened(self, users: Floats, items: Floats, histories: sparse.csr_matrix) -> tuple[Floats, Floats]:
        """Vectors of users (n, d + rank) and items with the low-pass beside the trained ones: one inner product."""
        if not self.back.shape[1]:
            return users, items
        return np.hstack([users, self.queries(histories)]), np.hstack([items, self.back])

    def parts(self, history: sparse.csr_matrix, item: int) -> Floats:
        """(entries of `history`,) what each of them adds to one item; history: (1, items)."""
        column = self.table[history.indices, item].toarray().ravel() + self.into[history.indices] @ self.back[item]
        return np.asarray(_shares(history)[0] * history.data * column, np.float32)

    def extended(self, old: sparse.csr_matrix, new: NDArray[np.integer]) -> sparse.csr_matrix:
        """(1, items) a history with later events: dense item ids, the latest last, on top of `old` (1, items)."""
        place = np.arange(len(new))
        decay = 1.0 if self.half_life is None else np.exp2(-(len(new) - 1 - place) / self.half_life)
        faded = old if self.half_life is None else old * float(np.exp2(-len(new) / self.half_life))
        added = np.zeros(old.shape[1], np.float32)
        added[new] = decay  # of a repeated item the last assignment, the latest event, stays
        return faded.maximum(sparse.csr_matrix(added[None])).tocsr().astype(np.float32)


@dataclass(frozen=True)
class BlendedScorer:
    """Inner products and what histories add. histories: (users, items)."""

    vectors: VectorScorer
    added: HistoryScores
    histories: sparse.csr_matrix

    @cached_property
    def wide(self) -> VectorScorer:
        """The trained vectors with the low-pass beside them."""
        return VectorScorer(*self.added.widened(self.vectors.user_vectors, self.vectors.item_vectors, self.histories))

    def score(self, users: NDArray[np.int32]) -> Floats:
        """(len(users), items) float32."""
        scores = self.wide.score(users)
        lent = self.added.lend(self.histories[users])
        scores[pairs_of(lent, np.arange(len(users)))] += lent.data
        return scores


def searched(scorer: VectorScorer | BlendedScorer) -> VectorScorer:
    """The vectors whose inner products an index looks up."""
    return scorer.wide if isinstance(scorer, BlendedScorer) else scorer


def _shares(histories: sparse.csr_matrix) -> Floats:
    """(users,) (Σ_j h_uj)^(−¾), 0 without a history."""
    total = np.asarray(histories.sum(axis=1), np.float64).ravel()
    shares = np.zeros(len(total))
    np.power(total, -_LENGTH_POWER, out=shares, where=total > 0)
    return shares.astype(np.float32)


def with_lent(
    hits: Hits,
    queries: Floats,
    item_vectors: Floats,
    lent: sparse.csr_matrix,
    exclude: sparse.csr_matrix | None = None,
    allow: NDArray[np.bool_] | None = None,
) -> Hits:
    """The k best items by inner product plus `lent` (n, items), from the k best by inner product alone.

    No other item can be among them than these k and those that something is lent to, since nothing lent is negative:
    so the lists are exact where `hits` are. exclude, allow: as `hits` were searched with.
    """
    found = [
        _row(hits.items[row], queries[row], item_vectors, lent[row], None if exclude is None else exclude[row], allow)
        for row in range(len(queries))
    ]
    k = hits.items.shape[1]
    items, scores = np.full((len(found), k), NO_ITEM, np.int32), np.full((len(found), k), -np.inf, np.float32)
    for row, (best, values) in enumerate(found):
        items[row, : len(best[:k])], scores[row, : len(best[:k])] = best[:k], values[:k]
    return Hits(items, scores)


def _row(
    by_vector: NDArray[np.int32],
    query: Floats,
    item_vectors: Floats,
    lent: sparse.csr_matrix,
    exclude: sparse.csr_matrix | None,
    allow: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.integer], Floats]:
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

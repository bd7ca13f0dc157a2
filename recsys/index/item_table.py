"""What the items of a history lend to other items: a sparse table beside the vectors, in evaluation and serving alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.ranking import NO_ITEM, Hits
from recsys.index.exact import Floats, VectorScorer, pairs_of

_LENGTH_POWER = 0.75  # between a sum over the history and its mean; on Gowalla's validation as good as any


@dataclass(frozen=True)
class ItemTable:
    """Added to the inner product of user u and item i: weight · Σ_j h_uj table_ji / (Σ_j h_uj)^¾.

    table: (items, items) float32, what row j lends. half_life: events after which one of a history counts half, None
    where all count alike (`closed_form.item_table.histories`).
    """

    table: sparse.csr_matrix
    weight: float
    half_life: float | None = None

    def lend(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """(users, items) what is added, from (users, items) weights h of the items of each user's history."""
        lent = (sparse.diags(self._factors(histories)) @ histories @ self.table).tocsr()
        lent.sort_indices()
        return lent.astype(np.float32)

    def parts(self, history: sparse.csr_matrix, item: int) -> Floats:
        """(entries of `history`,) what each of them lends to one item; history: (1, items)."""
        column = self.table[history.indices, item].toarray().ravel()
        parts: Floats = self._factors(history)[0] * history.data * column
        return parts

    def extended(self, old: sparse.csr_matrix, new: NDArray[np.integer]) -> sparse.csr_matrix:
        """(1, items) a history with later events: dense item ids, the latest last, on top of `old` (1, items)."""
        place = np.arange(len(new))
        decay = 1.0 if self.half_life is None else np.exp2(-(len(new) - 1 - place) / self.half_life)
        faded = old if self.half_life is None else old * float(np.exp2(-len(new) / self.half_life))
        added = np.zeros(old.shape[1], np.float32)
        added[new] = decay  # of a repeated item the last assignment, the latest event, stays
        return faded.maximum(sparse.csr_matrix(added[None])).tocsr().astype(np.float32)

    def _factors(self, histories: sparse.csr_matrix) -> Floats:
        total = np.asarray(histories.sum(axis=1)).ravel()
        factors: Floats = (self.weight * np.maximum(total, np.finfo(np.float32).tiny) ** -_LENGTH_POWER).astype(
            np.float32
        )
        return np.where(total > 0, factors, 0.0).astype(np.float32)


@dataclass(frozen=True)
class BlendedScorer:
    """Inner products and what the table adds. histories: (users, items)."""

    vectors: VectorScorer
    table: ItemTable
    histories: sparse.csr_matrix

    def score(self, users: NDArray[np.int32]) -> Floats:
        """(len(users), items) float32."""
        scores = self.vectors.score(users)
        lent = self.table.lend(self.histories[users])
        scores[pairs_of(lent, np.arange(len(users)))] += lent.data
        return scores


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

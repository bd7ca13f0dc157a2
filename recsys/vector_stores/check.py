"""Whether a store finds what the bundle would list."""

from typing import NamedTuple

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.bundle.export import vectors
from recsys.core.arrays import Int32Array
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.exact import VectorScorer, rank
from recsys.search.recall import hit_shares, with_mixtures
from recsys.vector_stores.store import VectorStore

_SEED = 0
WIDER = 10
"""So many times the length of a list are candidates for a second look."""


class Recall(NamedTuple):
    """Mean shares over `queries` lists of k items.

    store: of the exact list by vectors, what the store finds.
    served: of the list that the bundle serves, what the exact list by vectors has; None where
        nobody is known. Below 1 where histories add what no vector holds.
    served_wider: the same of the WIDER · k best by vectors.
    """

    k: int
    queries: int
    store: float
    served: float | None
    served_wider: float | None


def recall_of(bundle: Bundle, store: VectorStore, table: str, k: int, queries: int) -> Recall:
    """Ask the store for the lists of users spread over all, filled up by mixtures of items."""
    user_vectors, item_vectors = vectors(bundle)
    users = _spread(len(user_vectors), queries)
    draw = np.random.default_rng(_SEED)
    sampled_vectors = np.asarray(user_vectors[users])
    query_vectors = with_mixtures(sampled_vectors, item_vectors, queries, draw)
    # The truth is the exact list by the same vectors: what the bundle adds to them, no store can
    # find, and it is measured apart.
    scorer = VectorScorer(query_vectors, item_vectors)
    every_query = np.arange(len(query_vectors), dtype=np.int32)
    truth = rank(scorer, every_query, k, candidates=bundle.available)
    lists = store.search(table, query_vectors, k)
    hits = _as_hits(lists, bundle, scorer, k)
    shares = hit_shares(hits, truth)
    served, served_wider = _share_of_served(bundle, users, k)
    return Recall(k, len(query_vectors), float(shares.mean()), served, served_wider)


def _as_hits(lists: list[list[str]], bundle: Bundle, scorer: VectorScorer, k: int) -> Hits:
    """What the store found, with exact scores; an id that the bundle does not know is no hit."""
    row_of = {external: row for row, external in enumerate(bundle.items.ids)}
    items = np.full((len(lists), k), NO_ITEM, np.int32)
    for query, externals in enumerate(lists):
        named = [row_of.get(external, NO_ITEM) for external in externals]
        # Each once: a store that names an item twice has found it once.
        distinct = dict.fromkeys(named)
        rows = [row for row in distinct if row != NO_ITEM and bundle.available[row]]
        items[query, : len(rows)] = rows
    # Scored here, for stores differ in what they call a distance.
    scores = np.full(items.shape, -np.inf, np.float32)
    for query, row in enumerate(items):
        is_hit = row != NO_ITEM
        hit_vectors = scorer.item_vectors[row[is_hit]]  # (hits, d)
        scores[query, is_hit] = hit_vectors @ scorer.user_vectors[query]
    return Hits(items, scores)


def _share_of_served(
    bundle: Bundle, users: Int32Array, k: int
) -> tuple[float | None, float | None]:
    """By vectors alone, at k and at WIDER · k."""
    if not len(users):
        return None, None
    seen = sum(bundle.seen[name] for name in bundle.seen_behaviors).tocsr()
    user_vectors, item_vectors = vectors(bundle)
    user_vectors = np.asarray(user_vectors, np.float32)
    item_vectors = np.asarray(item_vectors, np.float32)
    by_vectors = VectorScorer(user_vectors, item_vectors)
    served = rank(bundle.scorer, users, k, seen, bundle.available).items
    wide = rank(by_vectors, users, WIDER * k, seen, bundle.available).items
    # The first k of the wide lists are the lists of k: ranked once.
    return _mean_share(served, wide[:, :k]), _mean_share(served, wide)


def _mean_share(wanted: Int32Array, found: Int32Array) -> float:
    """Mean share of each wanted list that is in the one found; users without a list are left out."""
    shares = []
    for wanted_row, found_row in zip(wanted, found, strict=True):
        listed = wanted_row[wanted_row != NO_ITEM]
        if len(listed):
            is_found = np.isin(listed, found_row)
            shares.append(is_found.mean())
    return float(np.mean(shares)) if shares else 1.0


def _spread(count: int, most: int) -> Int32Array:
    """At most `most` rows, evenly over all."""
    if count <= most:
        return np.arange(count, dtype=np.int32)
    return np.linspace(0, count - 1, most).astype(np.int32)

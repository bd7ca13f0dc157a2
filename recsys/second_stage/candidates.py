"""Candidates of others, beside the best of the first stage."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Int32Array
from recsys.core.ranking import NO_ITEM
from recsys.second_stage.inputs import FirstStage, RankedUsers

_LOOKED_AT = 10
"""Items of a source, for each that joins, among which those are looked for that a user lacks."""


class Sources(NamedTuple):
    """How many items of each source join.

    popular: the most popular.
    recent: the most popular of late.
    neighbours: those that go with the latest events.
    """

    popular: int
    recent: int = 0
    neighbours: int = 0


def with_others(
    first: FirstStage,
    users: RankedUsers,
    items: Int32Array,
    sources: Sources,
    exclude: sparse.csr_matrix | None = None,
    allow: BoolArray | None = None,
) -> Int32Array:
    """(n, m + Σ sources) items with those of each source behind that are not there already.

    Args:
        first: Whose candidates the items are.
        users: Of n users.
        items: (n, m), padded by NO_ITEM.
        sources: How many of each join; fewer where there are not so many.
        exclude: (n, items) what is not recommended to whom.
        allow: (items,) what may be recommended.
    """
    num_items = items.shape[1]
    rows = np.full((len(items), num_items + sum(sources)), NO_ITEM, np.int32)
    rows[:, :num_items] = items
    for row, ranked in enumerate(_ranked_lists(first, users, sources)):
        taken = items[row]
        if exclude is not None:
            barred = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
            taken = np.concatenate([taken, barred])
        end = num_items
        for others, count in zip(ranked, sources, strict=True):
            if allow is not None:
                others = others[allow[others]]
            joining = others[~np.isin(others, taken)][:count]
            rows[row, end : end + len(joining)] = joining
            end += len(joining)
            taken = np.concatenate([taken, joining])
    return rows


def _ranked_lists(
    first: FirstStage, users: RankedUsers, sources: Sources
) -> Iterator[tuple[Int32Array, ...]]:
    """Of each user the items of each source, the best first."""
    popular = first.most_popular[: _LOOKED_AT * sources.popular]
    recent = first.most_recent[: _LOOKED_AT * sources.recent]
    nothing = np.empty(0, np.int32)
    strengths = latest_strengths(first, users) if sources.neighbours else None
    for row in range(len(users.vectors)):
        neighbours = nothing
        if strengths is not None:
            neighbours = _strongest_first(strengths, row)
        yield popular, recent, neighbours


def latest_strengths(first: FirstStage, users: RankedUsers) -> sparse.csr_matrix | None:
    """(n, items) how much items go with the latest events of each user; None where it is unknown."""
    if first.neighbours is None or users.latest is None:
        return None
    return (users.latest @ first.neighbours).tocsr()


def _strongest_first(strengths: sparse.csr_matrix, row: int) -> Int32Array:
    """Items of a row; of equal ones those of smaller ids first."""
    start, stop = strengths.indptr[row], strengths.indptr[row + 1]
    items, values = strengths.indices[start:stop], strengths.data[start:stop]
    return np.asarray(items[np.lexsort((items, -values))], np.int32)

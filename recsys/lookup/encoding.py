"""Users of requests encoded together: the rows of each as matrices of all."""

from collections.abc import Iterator, Sequence

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array
from recsys.core.ids import UNKNOWN
from recsys.encode.fold_in import Neighbours
from recsys.lookup.matrices import Rows, stacked_rows

_EDGES_AT_ONCE = 1 << 15


def stacked_neighbours(neighbours: Sequence[Rows]) -> Neighbours:
    """By relation that any user has, one row for each."""
    names = dict.fromkeys(name for rows in neighbours for name in rows)
    return {name: stacked_rows([rows.get(name) for rows in neighbours]) for name in names}


def own_states(bundle: Bundle, users: Sequence[int]) -> Float32Array:
    """(n, d) layer-0 states of users; the visitor's for UNKNOWN."""
    states = np.tile(bundle.encoder.visitor, (len(users), 1))
    for row, user in enumerate(users):
        if user != UNKNOWN:
            states[row] = bundle.user_self[user]
    return states


def num_edges(neighbours: Rows) -> int:
    return sum(len(row.indices) for row in neighbours.values())


def groups(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Positions of users that are encoded together: with so many edges at most, and one at least.

    sizes: edges, or events, of each.
    """
    group: list[int] = []
    total = 0
    for position, size in enumerate(sizes):
        total += size
        if group and total > _EDGES_AT_ONCE:
            yield group
            group, total = [], size
        group.append(position)
    if group:
        yield group

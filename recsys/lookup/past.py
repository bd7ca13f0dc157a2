"""The weighted history of one user, which additions to the scores are asked with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from recsys.core.history import WeightedHistories
from recsys.lookup.matrices import SparseRow, row_of, stacked_rows


class Past(NamedTuple):
    """One row of `WeightedHistories`."""

    items: SparseRow
    auxiliary: Mapping[str, SparseRow]


def past_of(histories: WeightedHistories, user: int) -> Past:
    auxiliary = {name: row_of(matrix, user) for name, matrix in histories.auxiliary.items()}
    return Past(row_of(histories.items, user), auxiliary)


def stacked_pasts(pasts: Sequence[Past]) -> WeightedHistories:
    """Of several users; at least one."""
    auxiliary = {}
    for name in pasts[0].auxiliary:
        auxiliary[name] = stacked_rows([past.auxiliary[name] for past in pasts])
    return WeightedHistories(stacked_rows([past.items for past in pasts]), auxiliary)

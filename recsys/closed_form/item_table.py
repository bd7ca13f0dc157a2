"""Which items follow from which: co-occurrence in train with three degree exponents, as a sparse table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.closed_form.cooccurrence import strongest
from recsys.core.errors import UsageError
from recsys.core.interactions import Interactions

_BLOCK_ROWS = 4096  # items at a time: the full product of a large catalogue would not fit in memory


class Exponents(NamedTuple):
    """How strongly activity counts against a user, and popularity against an item that has been taken or may follow.

    (1, 1, β) is RP3β (Paudel et al. 2017), (0, ½, ½) the cosine, (1, ½, ½) the linear filter of GF-CF.
    """

    user: float = 0.7
    source: float = 0.6
    target: float = 0.3


def item_table(matrix: sparse.csr_matrix, exponents: Exponents, top_n: int) -> sparse.csr_matrix:
    """(items, items) float32: row j holds the `top_n` items that follow most from j, itself left out.

    table_ji = d_j^(−source) · Σ_u r_uj r_ui d_u^(−user) · d_i^(−target), with degrees d of the 0/1 `matrix` (users,
    items). Ties go to the smaller id; indices ascend. Raises UsageError for top_n < 1.
    """
    if top_n < 1:
        raise UsageError(f"top_n = {top_n} items a row is less than one", "Ask for at least 1")
    users = _power(np.asarray(matrix.sum(axis=1)).ravel(), exponents.user)
    degrees = np.asarray(matrix.sum(axis=0)).ravel()
    weighted = (sparse.diags(users) @ matrix @ sparse.diags(_power(degrees, exponents.target))).tocsr()
    sources = (sparse.diags(_power(degrees, exponents.source)) @ matrix.T).tocsr()
    blocks = []
    for start in range(0, matrix.shape[1], _BLOCK_ROWS):
        follow = (sources[start : start + _BLOCK_ROWS] @ weighted).tocoo()
        follow.data[follow.col == follow.row + start] = 0.0
        blocks.append(strongest(follow.tocsr(), top_n))
    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def histories(interactions: Interactions, target: str, half_life: float | None = None) -> sparse.csr_matrix:
    """(users, items) float32: 1 for each item of a user under the target behaviour.

    half_life: with it an event counts 2^(−p / half_life), p being how many of the user's pairs are later; of two at
    the same moment the one that stands later in the log is the later. Raises UsageError when the log has no times.
    """
    if half_life is None:
        return interactions.matrix((target,))
    if interactions.time is None:
        raise UsageError(f"a half-life of {half_life:g} events needs a log with times", "Leave the half-life out")
    kept = _latest(interactions, target)
    user = interactions.user[kept]
    later = np.cumsum(np.bincount(user, minlength=interactions.num_users))[user] - 1 - np.arange(len(kept))
    values = np.exp2(-later / half_life).astype(np.float32)
    shape = (interactions.num_users, interactions.num_items)
    matrix = sparse.csr_matrix((values, (user, interactions.item[kept])), shape=shape)
    matrix.sort_indices()
    return matrix


def _latest(interactions: Interactions, target: str) -> NDArray[np.int64]:
    """Rows of the target behaviour by user and time, the last one of each pair alone."""
    rows = np.flatnonzero(interactions.of(target))
    time = interactions.time[rows] if interactions.time is not None else rows
    order = rows[np.lexsort((rows, time, interactions.user[rows]))]
    pair = interactions.user[order].astype(np.int64) * interactions.num_items + interactions.item[order]
    _, from_the_end = np.unique(pair[::-1], return_index=True)
    latest: NDArray[np.int64] = order[np.sort(len(order) - 1 - from_the_end)]
    return latest


def _power(degrees: NDArray[np.floating], exponent: float) -> NDArray[np.float32]:
    """d^(−exponent), 0 for 0."""
    powers = np.zeros(len(degrees))
    np.power(degrees, -exponent, out=powers, where=degrees > 0)
    return powers.astype(np.float32)

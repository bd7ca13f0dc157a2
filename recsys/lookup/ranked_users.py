"""Requests as the second stage reads them."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from recsys.bundle.bundle import USER_NODES, Bundle
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.core.arrays import Float64Array
from recsys.core.history import UserHistories
from recsys.core.ids import UNKNOWN
from recsys.lookup.cold_start import Request
from recsys.lookup.matrices import SparseRow, row_of
from recsys.lookup.past import stacked_pasts
from recsys.search.exact import excluded_lists
from recsys.second_stage.inputs import RankedUsers, last_moments, latest_items


def ranked_users(bundle: Bundle, requests: Sequence[Request]) -> RankedUsers:
    """Of requests that are answered by a vector."""
    num_items = len(bundle.items)
    vectors = np.stack([np.asarray(request.vector) for request in requests])
    pasts = [request.past for request in requests if request.past is not None]
    past = stacked_pasts(pasts) if pasts else None
    had = excluded_lists([request.target_items for request in requests], num_items)
    moments = np.full(len(requests), bundle.last_moment)
    for row, request in enumerate(requests):
        if request.moment is not None:
            moments[row] = request.moment
    latest = last = None
    if bundle.parts.get(HistoryRows) is not None:
        histories = [_history(bundle, request) for request in requests]
        latest = _latest(histories, bundle.target, num_items)
        last = _last(histories, moments)
    attributes = {}
    for column, relation in bundle.user_attributes.items():
        num_values = len(bundle.labels[USER_NODES + column])
        rows = [_neighbours(bundle, request, relation) for request in requests]
        attributes[column] = _stacked(rows, num_values)
    return RankedUsers(vectors, past, had, latest, moments, last, attributes)


def _history(bundle: Bundle, request: Request) -> UserHistories | None:
    """What a user, or visitor, did, the events of the request with it; None where that is nothing."""
    if request.history is not None or request.user == UNKNOWN:
        return request.history
    return bundle.parts[HistoryRows].histories.of_user(request.user)


def _latest(
    histories: Sequence[UserHistories | None], target: str, num_items: int
) -> sparse.csr_matrix:
    """(n, items) see `latest_items`."""
    nothing = np.empty(0, np.int32)
    lists = [
        nothing if history is None else np.sort(latest_items(history, target).indices)
        for history in histories
    ]
    return excluded_lists(lists, num_items).astype(np.float32)


def _last(histories: Sequence[UserHistories | None], moments: Float64Array) -> Float64Array:
    """(n,) see `last_moments`."""
    last = np.full(len(histories), np.nan)
    for row, history in enumerate(histories):
        if history is not None:
            last[row] = last_moments(history, moments[row : row + 1])[0]
    return last


def _neighbours(bundle: Bundle, request: Request, relation: str) -> SparseRow | None:
    """Of a request under one relation; None where it has none."""
    if request.neighbours is not None:
        return request.neighbours.get(relation)
    if request.user == UNKNOWN:
        return None
    return row_of(bundle.neighbours[relation], request.user)


def _stacked(rows: Sequence[SparseRow | None], num_values: int) -> sparse.csr_matrix:
    """(n, values) with an entry for each value."""
    nothing = np.empty(0, np.int32)
    return excluded_lists([nothing if row is None else row.indices for row in rows], num_values)

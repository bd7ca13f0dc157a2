"""Requests as the second stage reads them."""

from collections.abc import Sequence

import numpy as np

from recsys.lookup.cold_start import Request
from recsys.lookup.past import stacked_pasts
from recsys.search.exact import excluded_lists
from recsys.second_stage.features import RankedUsers


def ranked_users(requests: Sequence[Request], num_items: int) -> RankedUsers:
    """Of requests that are answered by a vector."""
    vectors = np.stack([np.asarray(request.vector) for request in requests])
    pasts = [request.past for request in requests if request.past is not None]
    past = stacked_pasts(pasts) if pasts else None
    had = excluded_lists([request.target_items for request in requests], num_items)
    return RankedUsers(vectors, past, had)

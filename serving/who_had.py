"""Who had an item, read off the bundle's rows of users."""

import numpy as np

from recsys.core.distinct import distinct
from serving.documents import ItemUsers
from serving.service import require_item
from serving.state import Served


def who_had(served: Served, item_id: str, k: int) -> ItemUsers:
    """The first k users who had an item under any behaviour. Raises Refused (404) when it is unknown.

    One pass over what users had: there is no index from items to users, and nobody asks for many.
    """
    require_item(served, item_id)
    bundle = served.bundle
    [item] = bundle.items.lookup([item_id]).tolist()
    rows = [np.empty(0, dtype=np.int64)]
    for had in bundle.seen.values():
        places = np.flatnonzero(had.indices == item)
        rows.append(np.searchsorted(had.indptr, places, side="right") - 1)
    users = distinct(*rows)
    return {
        "item": item_id,
        "users": bundle.users.external(users[:k]),
        "total": len(users),
        "model_version": served.version,
    }

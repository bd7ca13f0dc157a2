"""Which items a request may be answered with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recsys.bundle.attributes import Filters
from recsys.core.arrays import BoolArray
from recsys.core.ids import UNKNOWN

if TYPE_CHECKING:
    from recsys.bundle.bundle import Bundle


def allowed_items(
    bundle: "Bundle",
    allow: Sequence[object] | None = None,
    deny: Sequence[object] | None = None,
    filters: Filters | None = None,
) -> tuple[BoolArray | None, list[str]]:
    """(items,) what may be recommended to anybody (None: everything), and the unknown ids of both
    lists.

    Raises UsageError for a filter by an unknown column or value.
    """
    if allow is None and deny is None and not filters:
        return (None if bundle.available.all() else bundle.available), []
    allowed, denied = bundle.items.lookup(allow or ()), bundle.items.lookup(deny or ())
    mask = np.full(len(bundle.items), allow is None)
    mask[allowed[allowed != UNKNOWN]] = True
    mask[denied[denied != UNKNOWN]] = False
    if filters:
        mask &= bundle.attributes.allowed(filters)
    named = [str(one) for one in (*(allow or ()), *(deny or ()))]
    strangers = [
        one for one, dense in zip(named, [*allowed, *denied], strict=True) if dense == UNKNOWN
    ]
    return mask & bundle.available, strangers

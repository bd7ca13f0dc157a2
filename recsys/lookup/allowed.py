"""Which items a request may be answered with."""

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import BoolArray
from recsys.core.ids import UNKNOWN
from recsys.lookup.options import ListOptions


def available_items(bundle: Bundle) -> BoolArray | None:
    """(items,) those that are not withdrawn; None where none is."""
    return None if bundle.available.all() else bundle.available


def allowed_items(bundle: Bundle, options: ListOptions) -> tuple[BoolArray | None, list[str]]:
    """(items,) what may be recommended to anybody (None: everything), and the ids of `allow` and
    `deny` that are unknown.

    Raises UsageError for a filter by an unknown column or value.
    """
    if options.allow is None and options.deny is None and not options.filters:
        return available_items(bundle), []
    mask = np.full(len(bundle.items), options.allow is None)
    unknown = []
    for ids, allowed in ((options.allow or (), True), (options.deny or (), False)):
        items = bundle.items.lookup(ids)
        mask[items[items != UNKNOWN]] = allowed
        for external_id, item in zip(ids, items, strict=True):
            if item == UNKNOWN:
                unknown.append(external_id)
    if options.filters:
        mask &= bundle.attributes.allowed(options.filters)
    return mask & bundle.available, unknown

"""Which items a request may be answered with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import BoolArray
from recsys.core.ids import UNKNOWN
from recsys.lookup.options import ListOptions


def available_items(bundle: Bundle) -> BoolArray | None:
    """(items,) those that are not withdrawn; None where none is."""
    if bundle.available.all():
        return None
    return bundle.available


class Allowed(NamedTuple):
    """What may be recommended to anybody.

    items: (items,) which; None for all.
    unknown: ids of `allow` and `deny` that are unknown.
    notes: about values of filters that no item has.
    """

    items: BoolArray | None
    unknown: list[str]
    notes: list[str]


def allowed_items(bundle: Bundle, options: ListOptions) -> Allowed:
    """By the options of a list. Raises UsageError for a filter by an unknown column."""
    allow, deny, filters = options.allow, options.deny, options.filters
    if allow is None and deny is None and not filters:
        return Allowed(available_items(bundle), [], [])
    allowed = bundle.available.copy()
    unknown = []
    notes: list[str] = []
    if allow is not None:
        named, unknown_allowed = _named_items(bundle, allow)
        unknown.extend(unknown_allowed)
        allowed &= named
    if deny is not None:
        named, unknown_denied = _named_items(bundle, deny)
        unknown.extend(unknown_denied)
        allowed &= ~named
    if filters:
        having, notes = bundle.attributes.allowed(filters)
        allowed &= having
    return Allowed(allowed, unknown, notes)


def _named_items(bundle: Bundle, ids: Sequence[str]) -> tuple[BoolArray, list[str]]:
    """(items,) whether an item is named by one of these ids, and the ids that are unknown."""
    items = bundle.items.lookup(ids)
    named = np.zeros(len(bundle.items), bool)
    named[items[items != UNKNOWN]] = True
    unknown = []
    for external_id, item in zip(ids, items, strict=True):
        if item == UNKNOWN:
            unknown.append(external_id)
    return named, unknown

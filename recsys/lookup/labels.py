"""What items, users and values of attributes are called in answers."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import IntArray
from recsys.core.tables import TITLE


def titles_of(bundle: Bundle, items: IntArray | Sequence[int]) -> list[str | None]:
    """Titles of internal item ids; None where there is none."""
    if TITLE not in bundle.item_table.columns:
        return [None] * len(items)
    rows = np.asarray(items, np.int64)
    titles = bundle.item_table[TITLE][rows]
    return titles.cast(pl.String).to_list()


def item_name(bundle: Bundle, item: int) -> str:
    """The title of an item, or its id where it has none."""
    [title] = titles_of(bundle, [item])
    if title is None:
        return str(bundle.items.ids[item])
    return title


def node_label(bundle: Bundle, node_type: str, node: int) -> str:
    """External id of a user or item, value of an attribute node; the node's number where the bundle
    has no name for it.
    """
    if node_type == "item":
        return str(bundle.items.ids[node])
    if node_type == "user":
        return str(bundle.users.ids[node])
    labels = bundle.labels.get(node_type, [])
    if node < len(labels):
        return labels[node]
    return str(node)

"""What items, users and values of attributes are called in answers."""

from collections.abc import Sequence
from typing import NotRequired

import numpy as np
import polars as pl
from typing_extensions import TypedDict

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import IntArray
from recsys.core.tables import TITLE


class NamedItem(TypedDict):
    """An item by its name."""

    id: str
    title: NotRequired[str]


def titles_of(bundle: Bundle, items: IntArray | Sequence[int]) -> list[str | None]:
    """Titles of internal item ids; None where there is none."""
    if TITLE not in bundle.item_table.columns:
        return [None] * len(items)
    titles = bundle.item_table[TITLE].cast(pl.String)
    # One by one: to gather as few as a list has costs ten times as much.
    return [titles[item] for item in np.asarray(items).tolist()]


def title_of(bundle: Bundle, item: int) -> str | None:
    """The title of one internal item id."""
    [title] = titles_of(bundle, [item])
    return title


def names_of(bundle: Bundle, items: Sequence[int]) -> dict[int, NamedItem]:
    """By internal id, ids and titles of items."""
    distinct = list(dict.fromkeys(items))
    external_ids = bundle.items.external(np.array(distinct, np.int64))
    names: dict[int, NamedItem] = {}
    titles = titles_of(bundle, distinct)
    for item, external_id, title in zip(distinct, external_ids, titles, strict=True):
        names[item] = {"id": external_id}
        if title is not None:
            names[item]["title"] = title
    return names


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

"""What a bundle knows of its items and users, apart from vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import polars as pl

from recsys.core.history import UserHistories
from recsys.core.ids import UNKNOWN
from recsys.core.tables import ITEM_ID, TITLE, USER_ID
from recsys.lookup.answers import plain_field
from recsys.lookup.histories import Event, history_of
from recsys.lookup.labels import title_of
from serving.documents import (
    Answer,
    AttributeColumn,
    AttributeColumns,
    AttributeValue,
    CatalogueItem,
    CatalogueItems,
    FoundUsers,
    KnownUser,
    Model,
    UserEvent,
)
from serving.service import require_item, require_user
from serving.state import Served


def describe(served: Served) -> Model:
    """The bundle that answers."""
    bundle = served.bundle
    return {
        "model_version": served.version,
        "users": len(bundle.users),
        "items": len(bundle.items),
        "target": bundle.target,
        "behaviors": list(bundle.segments[1:]),
        "loaded": served.loaded,
        "model_card": bundle.model_card,
        "index_card": bundle.index_card,
    }


def item(served: Served, item_id: str) -> CatalogueItem:
    """Raises Refused (404) when it is unknown."""
    require_item(served, item_id)
    internal_ids = served.bundle.items.lookup([item_id])
    return _items(served, internal_ids)[0]


def items(served: Served, item_ids: Sequence[str]) -> CatalogueItems:
    """What is known of some items."""
    internal_ids = served.bundle.items.lookup(item_ids)
    unknown = []
    for item_id, internal_id in zip(item_ids, internal_ids, strict=True):
        if internal_id == UNKNOWN:
            unknown.append(item_id)
    known = _items(served, internal_ids[internal_ids != UNKNOWN])
    return {"items": known, "unknown": unknown, "model_version": served.version}


def find_items(served: Served, text: str, k: int) -> CatalogueItems:
    """Items whose id or title holds the text: the one whose id it is, then the most popular."""
    bundle = served.bundle
    columns = [name for name in (ITEM_ID, TITLE) if name in bundle.item_table.columns]
    holds_text = pl.any_horizontal(_holds(name, text) for name in columns)
    matches = bundle.item_table.select(holds_text.fill_null(False)).to_series()
    rows = np.flatnonzero(matches.to_numpy())
    is_other_id = rows != bundle.items.lookup([text])
    popularity = bundle.popularity[0][rows]
    # The last key is sorted by first, and False comes before True.
    order = np.lexsort((-popularity, is_other_id))[:k]
    items = _items(served, rows[order])
    return {"items": items, "unknown": [], "model_version": served.version}


def attributes(served: Served, k: int) -> AttributeColumns:
    """What filters may name: by column of the items its most frequent values, up to k."""
    attributes = served.bundle.attributes
    columns: list[AttributeColumn] = []
    for column, row_of_value in attributes.row_of.items():
        columns.append(_column(column, row_of_value, attributes.num_items, k))
    for column in attributes.fractions:
        columns.append({"column": column, "distinct": 0, "values": []})
    for document in columns:
        span = attributes.span(document["column"])
        if span is not None:
            document["least"], document["most"] = span
    return {"columns": columns, "model_version": served.version}


def find_users(served: Served, text: str, k: int) -> FoundUsers:
    """Users whose id holds the text: the shortest, so that the very id is the first, then in the
    order of the bundle.
    """
    users = pl.LazyFrame({USER_ID: served.bundle.users.ids})
    matches = users.filter(_holds(USER_ID, text))
    length = pl.col(USER_ID).str.len_chars()
    shortest = matches.sort(length, maintain_order=True).head(k).collect()
    return {"users": shortest[USER_ID].to_list(), "model_version": served.version}


def user(served: Served, user_id: str, live: Sequence[Event], k: int) -> KnownUser:
    """What the bundle and the live log know of a user, the latest first. Raises Refused (404) for
    somebody of whom neither knows anything.
    """
    bundle = served.bundle
    [row] = bundle.users.lookup([user_id]).tolist()
    if row == UNKNOWN and not live:
        require_user(served, user_id)
    # Live events are later than all that the bundle has learnt: they come first, and what is left
    # of k is for learnt ones.
    learnt: list[Event] = []
    num_learnt = 0
    if row != UNKNOWN:
        history = history_of(bundle, row)
        num_learnt = len(history)
        learnt = _latest_events(served, history, max(k - len(live), 0))
    latest = [*reversed(live[-k:]), *learnt]
    return {
        "user": user_id,
        "known": row != UNKNOWN,
        "events": _user_events(served, latest, min(len(live), k)),
        "learnt": num_learnt,
        "live": len(live),
        "model_version": served.version,
    }


def _latest_events(served: Served, history: UserHistories, k: int) -> list[Event]:
    """The latest k rows of the history of one user, the latest first."""
    rows = np.arange(len(history))[::-1][:k]
    items = served.bundle.items.external(history.item[rows])
    events = []
    for row, item in zip(rows.tolist(), items, strict=True):
        behavior = history.behaviors[int(history.behavior[row])]
        time = None if history.time is None else float(history.time[row])
        events.append(Event(item, behavior, time))
    return events


def _user_events(served: Served, events: Sequence[Event], num_live: int) -> list[UserEvent]:
    """Events as documents; num_live: how many of the first are live."""
    bundle = served.bundle
    internal_ids = bundle.items.lookup([event.item for event in events])
    documents = []
    for position, (event, item) in enumerate(zip(events, internal_ids.tolist(), strict=True)):
        document: UserEvent = {
            "item": event.item,
            "behavior": event.behavior or bundle.target,
            "live": position < num_live,
        }
        title = None if item == UNKNOWN else title_of(bundle, item)
        if title is not None:
            document["title"] = title
        if event.time is not None:
            document["time"] = event.time
        documents.append(document)
    return documents


def similar_items(served: Served, item_id: str, k: int) -> Answer:
    """Raises Refused (404) when the item is unknown."""
    require_item(served, item_id)
    [answer] = served.lookup.similar_items([item_id], k)
    return cast(Answer, {**answer, "model_version": served.version})


def similar_users(served: Served, user_id: str, k: int) -> Answer:
    """Raises Refused (404) when the user is unknown."""
    require_user(served, user_id)
    [users] = served.lookup.similar_users([user_id], k)
    return {
        "items": users,
        "source": "model",
        "score_kind": "cosine",
        "unknown": [],
        "model_version": served.version,
    }


def _column(
    column: str, row_of_value: Mapping[str, int], num_items: Sequence[int], k: int
) -> AttributeColumn:
    """The values of one column.

    Args:
        column: Its name.
        row_of_value: Row of each value in the bundle's lists.
        num_items: How many items have the value of each row.
        k: How many values, the most frequent.

    Returns:
        The document.
    """
    most_frequent = sorted(row_of_value, key=lambda value: -num_items[row_of_value[value]])
    values: list[AttributeValue] = []
    for value in most_frequent[:k]:
        values.append({"value": value, "items": num_items[row_of_value[value]]})
    return {"column": column, "distinct": len(row_of_value), "values": values}


def _holds(column: str, text: str) -> pl.Expr:
    """Whether a column holds a text, whatever the case."""
    lower = pl.col(column).cast(pl.String).str.to_lowercase()
    return lower.str.contains(text.lower(), literal=True)


def _items(served: Served, internal_ids: np.ndarray) -> list[CatalogueItem]:
    bundle = served.bundle
    rows = bundle.item_table[pl.Series(internal_ids.astype(np.int64))].to_dicts()
    # (items, behaviours): the popularity of a bundle has a row for each behaviour.
    popularity_of_items = np.asarray(bundle.popularity[:, internal_ids]).T
    counts = popularity_of_items.astype(int).tolist()
    available = bundle.available[internal_ids].tolist()
    items = []
    for row, item_counts, is_available in zip(rows, counts, available, strict=True):
        popularity = dict(zip(bundle.segments, item_counts, strict=True))
        items.append(_item(row, popularity, is_available))
    return items


def _item(row: dict[str, Any], popularity: dict[str, int], available: bool) -> CatalogueItem:
    """One item. row: of the item table. popularity: users who had it, by behaviour."""
    attributes = {}
    for column, value in row.items():
        if column not in (ITEM_ID, TITLE) and value is not None:
            attributes[column] = plain_field(value)
    item: CatalogueItem = {
        "id": row[ITEM_ID],
        "available": available,
        "popularity": popularity,
        "attributes": attributes,
    }
    if row.get(TITLE) is not None:
        item["title"] = str(row[TITLE])
    return item

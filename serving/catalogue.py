"""What a bundle knows of its items and users, apart from vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import polars as pl

from recsys.core.arrays import IntArray
from recsys.core.ids import UNKNOWN
from recsys.core.tables import ITEM_ID, TITLE, USER_ID
from serving.documents import (
    Answer,
    AttributeColumn,
    AttributeColumns,
    AttributeValue,
    CatalogueItem,
    CatalogueItems,
    FoundUsers,
    Model,
)
from serving.service import require_item, require_user
from serving.state import Served


def describe(served: Served) -> Model:
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


def item(served: Served, outside: str) -> CatalogueItem:
    """Raises Refused (404) when it is unknown."""
    require_item(served, outside)
    return _items(served, served.bundle.items.lookup([outside]))[0]


def items(served: Served, outside: Sequence[str]) -> CatalogueItems:
    dense = served.bundle.items.lookup(outside)
    unknown = [one for one, row in zip(outside, dense, strict=True) if row == UNKNOWN]
    return {
        "items": _items(served, dense[dense != UNKNOWN]),
        "unknown": unknown,
        "model_version": served.version,
    }


def find_items(served: Served, text: str, k: int) -> CatalogueItems:
    """Items whose id or title holds the text: the one whose id it is, then the most popular."""
    table = served.bundle.item_table
    matches = [_holds(name, text) for name in (ITEM_ID, TITLE) if name in table.columns]
    rows = np.flatnonzero(
        table.select(pl.any_horizontal(*matches).fill_null(False)).to_series().to_numpy()
    )
    named = served.bundle.items.lookup([text])
    order = np.lexsort((-served.bundle.popularity[0][rows], rows != named))[:k]
    return {"items": _items(served, rows[order]), "unknown": [], "model_version": served.version}


def attributes(served: Served, k: int) -> AttributeColumns:
    """What filters may name: by column of the items its most frequent values, up to k."""
    known = served.bundle.attributes
    counts = np.diff(known.lists.indptr)
    columns = [_column(name, places, counts, k) for name, places in known.places.items()]
    return {"columns": columns, "model_version": served.version}


def find_users(served: Served, text: str, k: int) -> FoundUsers:
    """Users whose id holds the text: the shortest, so that the very id is the first, then in the
    order of the bundle.
    """
    ids = pl.DataFrame({USER_ID: served.bundle.users.ids})
    shortest = pl.col(USER_ID).str.len_chars()
    found = (
        ids.lazy()
        .filter(_holds(USER_ID, text))
        .sort(shortest, maintain_order=True)
        .head(k)
        .collect()
    )
    return {"users": found[USER_ID].to_list(), "model_version": served.version}


def similar_items(served: Served, outside: str, k: int) -> Answer:
    """Raises Refused (404) when the item is unknown."""
    require_item(served, outside)
    return cast(
        Answer, {**served.lookup.similar_items([outside], k)[0], "model_version": served.version}
    )


def similar_users(served: Served, outside: str, k: int) -> Answer:
    """Raises Refused (404) when the user is unknown."""
    require_user(served, outside)
    [found] = served.lookup.similar_users([outside], k)
    return cast(
        Answer, {"items": found, "source": "model", "unknown": [], "model_version": served.version}
    )


def _column(name: str, places: Mapping[str, int], counts: IntArray, k: int) -> AttributeColumn:
    often = sorted(places, key=lambda value: -counts[places[value]])[:k]
    values: list[AttributeValue] = [
        {"value": value, "items": int(counts[places[value]])} for value in often
    ]
    return {"column": name, "distinct": len(places), "values": values}


def _holds(column: str, text: str) -> pl.Expr:
    return (
        pl.col(column).cast(pl.String).str.to_lowercase().str.contains(text.lower(), literal=True)
    )


def _items(served: Served, dense: np.ndarray) -> list[CatalogueItem]:
    bundle = served.bundle
    rows = bundle.item_table[pl.Series(dense.astype(np.int64))].to_dicts()
    counts = np.asarray(bundle.popularity[:, dense]).T.astype(int).tolist()
    available = bundle.available[dense].tolist()
    return [_item(*facts, bundle.segments) for facts in zip(rows, counts, available, strict=True)]


def _item(
    row: dict[str, Any], counts: list[int], available: bool, segments: Sequence[str]
) -> CatalogueItem:
    known = {
        name: value
        for name, value in row.items()
        if name not in (ITEM_ID, TITLE) and value is not None
    }
    found: CatalogueItem = {
        "id": row[ITEM_ID],
        "available": available,
        "popularity": dict(zip(segments, counts, strict=True)),
        "attributes": {
            name: value if isinstance(value, int | float | list) else str(value)
            for name, value in known.items()
        },
    }
    if row.get(TITLE) is not None:
        found["title"] = str(row[TITLE])
    return found

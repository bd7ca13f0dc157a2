"""What of a bundle a store holds: ids, vectors, availability and attributes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from polars import selectors

from recsys.bundle.bundle import Bundle
from recsys.bundle.export import vectors
from recsys.core.arrays import BoolArray, Float32Array, IntArray
from recsys.core.errors import DataError
from recsys.core.tables import AVAILABLE, ITEM_ID, USER_ID
from recsys.search.exact import require_finite

Kind = Literal["items", "users"]
VECTOR = "vector"
ID_COLUMNS: dict[Kind, str] = {"items": ITEM_ID, "users": USER_ID}
_BATCH = 1_000


@dataclass(frozen=True)
class Rows:
    """Items or users, one row each.

    ids: external ids.
    vectors: (n, d).
    available: (n,) False for withdrawn items.
    attributes: (n rows) the columns of the item table, several values of one as a list; no column
        for users.
    """

    kind: Kind
    ids: pl.Series
    vectors: Float32Array
    available: BoolArray
    attributes: pl.DataFrame

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def id_column(self) -> str:
        """What the id is called in the store."""
        return ID_COLUMNS[self.kind]

    @property
    def width(self) -> int:
        return int(self.vectors.shape[1])

    def take(self, rows: IntArray) -> "Rows":
        """Some of the rows."""
        indices = np.asarray(rows, np.int64)
        # A frame without columns has no rows either, however many users there are.
        attributes = self.attributes[indices] if self.attributes.width else self.attributes
        ids = self.ids.gather(indices)
        return Rows(self.kind, ids, self.vectors[indices], self.available[indices], attributes)

    def batches(self, size: int = _BATCH) -> Iterator["Rows"]:
        """The rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            end = min(start + size, len(self))
            yield self.take(np.arange(start, end))

    def payloads(self) -> list[dict[str, Any]]:
        """Of each row: id, availability of an item, attributes without what is not known."""
        payloads: list[dict[str, Any]] = []
        columns = self.attributes.to_dicts() if self.attributes.width else [{}] * len(self)
        for external, available, attributes in zip(self.ids, self.available, columns, strict=True):
            payload = {self.id_column: external}
            if self.kind == "items":
                payload[AVAILABLE] = bool(available)
            known = {name: value for name, value in attributes.items() if value is not None}
            payloads.append(payload | known)
        return payloads


@dataclass(frozen=True)
class Changes:
    """What makes one state of the rows from another: rows new or other, and ids that are gone."""

    upserts: Rows
    gone: list[str]

    def __len__(self) -> int:
        return len(self.upserts) + len(self.gone)


def item_rows(bundle: Bundle) -> Rows:
    """Raises DataError for a vector that is not finite, and for a column with a name of the store's."""
    _, item_vectors = vectors(bundle)
    require_finite(item_vectors, "item vectors")
    attributes = bundle.item_table.drop(ITEM_ID)
    taken = {ITEM_ID, AVAILABLE, VECTOR} & set(attributes.columns)
    if taken:
        raise DataError(
            f"the item table has a column {min(taken)!r}, which a store keeps for itself",
            "Rename the column in data.items",
        )
    attributes = _plain_columns(attributes, bundle)
    return Rows("items", bundle.items.ids, item_vectors, bundle.available, attributes)


def user_rows(bundle: Bundle) -> Rows:
    """Raises DataError for a vector that is not finite."""
    user_vectors, _ = vectors(bundle)
    require_finite(user_vectors, "user vectors")
    available = np.ones(len(user_vectors), bool)
    return Rows("users", bundle.users.ids, user_vectors, available, pl.DataFrame())


def changes(before: Rows, after: Rows) -> Changes:
    """Raises DataError where items that both know have other vectors: those of another training
    are another space.
    """
    old_row = {external: row for row, external in enumerate(before.ids)}
    old_payloads, new_payloads = before.payloads(), after.payloads()
    other_vectors = 0
    changed = []
    for row, external in enumerate(after.ids):
        old = old_row.get(external)
        if old is None:
            changed.append(row)
        elif not np.array_equal(before.vectors[old], after.vectors[row]):
            other_vectors += 1
            changed.append(row)
        elif old_payloads[old] != new_payloads[row]:
            changed.append(row)
    # Users move as their histories do; items stay where a training put them.
    if after.kind == "items" and other_vectors:
        raise DataError(
            f"{other_vectors:,} of {len(after):,} items have other vectors than in the store: the "
            "model was trained again",
            "Write all of it and switch: recsys export",
        )
    known = set(after.ids)
    gone = [external for external in before.ids if external not in known]
    return Changes(after.take(np.array(changed, np.int64)), gone)


def _plain_columns(attributes: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Columns that JSON can hold: several values as lists, moments as text, no NaN."""
    columns = [selectors.temporal().cast(pl.String), selectors.float().fill_nan(None)]
    for column, separator in bundle.separators.items():
        if column in attributes.columns:
            columns.append(pl.col(column).str.split(separator))
    return attributes.with_columns(columns)

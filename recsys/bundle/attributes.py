"""Which items have which value of an attribute, and what a filter leaves of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.storage import load_matrix, save_matrix
from recsys.core.arrays import BoolArray
from recsys.core.errors import UsageError, nearest
from recsys.core.table_files import read_parquet
from recsys.core.tables import AVAILABLE, ITEM_ID, TITLE
from recsys.core.values import OWNER, VALUE, owner_values

Filters = Mapping[str, object]
"""By column of the item table, a value or several of which an item must have one."""

_NAME, _FILE = "item_attributes", "item_attributes.parquet"
_COLUMN = "column"
_NO_ATTRIBUTES = (ITEM_ID, TITLE, AVAILABLE)


@dataclass(frozen=True)
class ItemAttributes:
    """Inverted lists. named: one row (column, value) each, in order; lists: (rows, items), 1 where
    an item has it.

    A bitmap for each value would be shorter for a few genres and take values × items / 8 bytes for
    every brand of a large shop; the bits of a request are set from its lists.
    """

    named: pl.DataFrame
    lists: sparse.csr_matrix

    @cached_property
    def places(self) -> dict[str, dict[str, int]]:
        """Row of `lists` by column and value."""
        found: dict[str, dict[str, int]] = {}
        for place, (column, value) in enumerate(self.named.iter_rows()):
            found.setdefault(column, {})[value] = place
        return found

    @cached_property
    def _by_item(self) -> sparse.csr_matrix:
        return self.lists.T.tocsr()

    def values_of(self, item: int) -> list[int]:
        """Rows of `named` that a dense item has."""
        matrix = self._by_item
        return [
            int(place) for place in matrix.indices[matrix.indptr[item] : matrix.indptr[item + 1]]
        ]

    def allowed(self, filters: Filters) -> BoolArray:
        """(items,) which items have, in every column that is named, one of its values; compared as
        text.

        Raises UsageError for a column that the items do not have, or a value that no item has.
        """
        mask = np.ones(self.lists.shape[1], bool)
        for column, wanted in filters.items():
            having = np.zeros(len(mask), bool)
            for place in self._rows(column, wanted):
                having[
                    self.lists.indices[self.lists.indptr[place] : self.lists.indptr[place + 1]]
                ] = True
            mask &= having
        return mask

    def _rows(self, column: str, wanted: object) -> list[int]:
        if column not in self.places:
            known = list(self.places)
            raise UsageError(
                f"items have no attribute {column!r}",
                nearest(column, known) or f"They have {known}",
            )
        places = self.places[column]
        texts = [str(value).strip() for value in _several(wanted)]
        for text in texts:
            if text not in places:
                hint = (
                    nearest(text, places) or f"Items have {', '.join(map(repr, list(places)[:10]))}"
                )
                raise UsageError(f"no item has {column} = {text!r}", hint)
        return [places[text] for text in texts]

    def save(self, folder: Path) -> None:
        self.named.write_parquet(folder / _FILE)
        save_matrix(folder, _NAME, self.lists, weighted=False)

    @staticmethod
    def load(folder: Path, item_table: pl.DataFrame) -> "ItemAttributes":
        """Those of a bundle; made from the item table where an older version wrote it without."""
        if not (folder / _FILE).exists():
            return read_attributes_of(item_table, {})
        return ItemAttributes(
            read_parquet(folder / _FILE), load_matrix(folder, _NAME, len(item_table), False)
        )


def read_attributes_of(table: pl.DataFrame, separators: Mapping[str, str]) -> ItemAttributes:
    """From a table with one row per dense item. separators: of the columns whose text holds several
    values.

    Columns of numbers with a fraction are no attributes: nobody asks for one by equality.
    """
    columns = [
        name
        for name in table.columns
        if name not in _NO_ATTRIBUTES and not table[name].dtype.is_float()
    ]
    pairs = [
        owner_values(table[name], separators.get(name)).with_columns(pl.lit(name).alias(_COLUMN))
        for name in columns
    ]
    empty = pl.DataFrame(schema={OWNER: pl.Int64, VALUE: pl.String, _COLUMN: pl.String})
    rows = pl.concat([empty, *pairs]).sort(_COLUMN, VALUE, OWNER)
    named = rows.select(_COLUMN, VALUE).unique(maintain_order=True)
    counts = rows.group_by(_COLUMN, VALUE, maintain_order=True).len()["len"].to_numpy()
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    items = rows[OWNER].to_numpy().astype(np.int32)
    shape = (len(named), len(table))
    return ItemAttributes(
        named, sparse.csr_matrix((np.ones(len(items), np.int8), items, indptr), shape=shape)
    )


def _several(values: object) -> Sequence[object]:
    return (
        list(values)
        if isinstance(values, Sequence | set | frozenset) and not isinstance(values, str)
        else [values]
    )

"""Which items have which value of an attribute, and what a filter leaves of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.storage import load_matrix, save_matrix
from recsys.core.arrays import BoolArray, Int32Array
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
    """Inverted lists.

    named: one row (column, value) for each list, in order.
    lists: (rows, items), 1 where an item has the value.

    A bitmap for each value would be shorter for a few genres and take values × items / 8 bytes for
    every brand of a large shop; the bits of a request are set from its lists.
    """

    named: pl.DataFrame
    lists: sparse.csr_matrix

    @cached_property
    def row_of(self) -> dict[str, dict[str, int]]:
        """Row of `lists` by column and value."""
        rows: dict[str, dict[str, int]] = {}
        for row, (column, value) in enumerate(self.named.iter_rows()):
            rows.setdefault(column, {})[value] = row
        return rows

    @cached_property
    def _by_item(self) -> sparse.csr_matrix:
        return self.lists.T.tocsr()

    def values_of(self, item: int) -> list[int]:
        """Rows of `named` that an item has."""
        start, stop = self._by_item.indptr[item : item + 2]
        rows: list[int] = self._by_item.indices[start:stop].tolist()
        return rows

    def items_with(self, row: int) -> Int32Array:
        """Items that have the value of a row of `named`."""
        start, stop = self.lists.indptr[row : row + 2]
        return np.asarray(self.lists.indices[start:stop])

    def allowed(self, filters: Filters) -> BoolArray:
        """(items,) which items have, in every column that is named, one of its values; compared as
        text.

        Raises UsageError for a column that the items do not have, or a value that no item has.
        """
        mask = np.ones(self.lists.shape[1], bool)
        for column, wanted in filters.items():
            has_value = np.zeros(len(mask), bool)
            for row in self._rows(column, wanted):
                has_value[self.items_with(row)] = True
            mask &= has_value
        return mask

    def _rows(self, column: str, wanted: object) -> list[int]:
        """Rows of `named` for one value of a column, or for several."""
        if column not in self.row_of:
            known = list(self.row_of)
            hint = nearest(column, known) or f"They have {known}"
            raise UsageError(f"items have no attribute {column!r}", hint)
        row_of_value = self.row_of[column]
        rows = []
        for value in _several(wanted):
            text = str(value).strip()
            if text not in row_of_value:
                hint = nearest(text, row_of_value) or _some_of(row_of_value)
                raise UsageError(f"no item has {column} = {text!r}", hint)
            rows.append(row_of_value[text])
        return rows

    def save(self, folder: Path) -> None:
        self.named.write_parquet(folder / _FILE)
        save_matrix(folder, _NAME, self.lists, weighted=False)

    @staticmethod
    def load(folder: Path, item_table: pl.DataFrame) -> "ItemAttributes":
        """Those of a bundle; made from the item table where an older version wrote it without."""
        if not (folder / _FILE).exists():
            return read_attributes_of(item_table, {})
        lists = load_matrix(folder, _NAME, len(item_table), False)
        return ItemAttributes(read_parquet(folder / _FILE), lists)


def read_attributes_of(table: pl.DataFrame, separators: Mapping[str, str]) -> ItemAttributes:
    """From a table with one row per item.

    separators: of the columns whose text holds several values.

    Columns of numbers with a fraction are no attributes: nobody asks for one by equality.
    """
    schema = {OWNER: pl.Int64, VALUE: pl.String, _COLUMN: pl.String}
    pairs = [pl.DataFrame(schema=schema)]
    for name in table.columns:
        if name not in _NO_ATTRIBUTES and not table[name].dtype.is_float():
            values = owner_values(table[name], separators.get(name))
            pairs.append(values.with_columns(pl.lit(name).alias(_COLUMN)))
    rows = pl.concat(pairs).sort(_COLUMN, VALUE, OWNER)
    named = rows.select(_COLUMN, VALUE).unique(maintain_order=True)
    lengths = rows.group_by(_COLUMN, VALUE, maintain_order=True).len()["len"]
    ends = np.cumsum(lengths.to_numpy(), dtype=np.int64)
    indptr = np.concatenate([[0], ends])
    items = rows[OWNER].to_numpy().astype(np.int32)
    ones = np.ones(len(items), np.int8)
    lists = sparse.csr_matrix((ones, items, indptr), shape=(len(named), len(table)))
    return ItemAttributes(named, lists)


def _several(values: object) -> Sequence[object]:
    if isinstance(values, str):
        return [values]
    if isinstance(values, Sequence | set | frozenset):
        return list(values)
    return [values]


def _some_of(values: Iterable[str]) -> str:
    """What to choose from, in a message."""
    first = [repr(value) for value in islice(values, 10)]
    return f"Items have {', '.join(first)}"

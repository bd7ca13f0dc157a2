"""Which items have which value of an attribute, and what a filter leaves of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.filters import Filter, filter_of
from recsys.bundle.storage import load_matrix, save_matrix
from recsys.core.arrays import BoolArray, Float64Array, Int32Array
from recsys.core.errors import UsageError, nearest
from recsys.core.table_files import read_parquet
from recsys.core.tables import AVAILABLE, ITEM_ID, TITLE
from recsys.core.values import OWNER, VALUE, owner_values

Filters = Mapping[str, object]
"""By column of the item table, what `filter_of` takes: a value or several of which an item must have
one, or a mapping with the names of `Filter`.
"""

_NAME, _FILE = "item_attributes", "item_attributes.parquet"
_COLUMN = "column"
_NO_ATTRIBUTES = (ITEM_ID, TITLE, AVAILABLE)
_MOST_NOTES = 5
_MOST_COMPARED = 10_000  # values that one which there is not is compared with


class Span(NamedTuple):
    least: float
    most: float


class _Numbers(NamedTuple):
    """Of a column: (rows of `named`,), or (items,) where it has no lists; NaN for what is none."""

    numbers: Float64Array
    span: Span | None

    @classmethod
    def of(cls, numbers: Float64Array) -> Self:
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            return cls(numbers, None)
        return cls(numbers, Span(float(known.min()), float(known.max())))


@dataclass(frozen=True)
class ItemAttributes:
    """Inverted lists.

    named: one row (column, value) for each list, in order.
    lists: (rows, items), 1 where an item has the value.
    fractions: by column of numbers with a fraction, which have no lists, (items,) the number of each
        item; NaN where it has none.

    A bitmap for each value would be shorter for a few genres and take values × items / 8 bytes for
    every brand of a large shop; the bits of a request are set from its lists.
    """

    named: pl.DataFrame
    lists: sparse.csr_matrix
    fractions: Mapping[str, Float64Array] = field(default_factory=dict)

    @cached_property
    def row_of(self) -> dict[str, dict[str, int]]:
        """Row of `lists` by column and value."""
        rows: dict[str, dict[str, int]] = {}
        for row, (column, value) in enumerate(self.named.iter_rows()):
            rows.setdefault(column, {})[value] = row
        return rows

    @cached_property
    def num_items(self) -> list[int]:
        """How many items have each value, by row of `named`."""
        counts: list[int] = np.diff(self.lists.indptr).tolist()
        return counts

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

    def span(self, column: str) -> Span | None:
        """The least and the largest number of a column; None where it holds no numbers."""
        return self._numbers(column).span

    def has_numbers_alone(self, column: str) -> bool:
        """Whether every value of a column is a number."""
        return not np.isnan(self._numbers(column).numbers).any() or column in self.fractions

    def numbers_of(self, column: str) -> Float64Array:
        """(items,) the number of each item, the mean of several; NaN where it has none."""
        if column in self.fractions:
            return np.asarray(self.fractions[column])
        # Mean of an item's numbers: (values @ numbers) / (values @ is_number), (items,) each.
        numbers = self._numbers(column).numbers  # (values,)
        values = self.values_under(column)  # (items, values)
        is_number = np.isfinite(numbers)
        sums = values @ np.where(is_number, numbers, 0.0)
        counts = values @ is_number.astype(np.float64)
        means = np.full(len(sums), np.nan)
        np.divide(sums, counts, out=means, where=counts > 0)
        return means

    def values_under(self, column: str) -> sparse.csr_matrix:
        """(items, values) 1 for each value of a column with lists, in the order of `row_of`."""
        rows = list(self.row_of[column].values())
        return self.lists[rows].T.tocsr()

    def allowed(self, filters: Filters) -> tuple[BoolArray, list[str]]:
        """(items,) which items are what every filter asks of its column, values compared as text; and
        what to say of values that no item has.

        Catalogues change from night to night: a value that today's lacks is no mistake of the call.
        Raises UsageError for a column that the items do not have, or that cannot be asked so.
        """
        mask = np.ones(self.lists.shape[1], bool)
        notes: list[str] = []
        for column, condition in filters.items():
            self._require(column)
            wanted = filter_of(condition)
            missing = self._missing(column, wanted)
            notes += [self._note(column, value) for value in missing[:_MOST_NOTES]]
            if len(missing) > _MOST_NOTES:
                notes.append(f"{len(missing) - _MOST_NOTES} further values of {column} no item has")
            if wanted.any is not None:
                mask &= self._having(column, wanted.any)
            for value in wanted.all:
                mask &= self._having(column, [value])
            if wanted.none:
                mask &= ~self._having(column, wanted.none)
            if wanted.has_range:
                mask &= self._within(column, wanted, notes)
        return mask, notes

    def _require(self, column: str) -> None:
        if column in self.row_of or column in self.fractions:
            return
        known = [*self.row_of, *self.fractions]
        hint = nearest(column, known) or f"They have {known}"
        raise UsageError(f"items have no attribute {column!r}", hint, code="unknown_attribute")

    def _missing(self, column: str, wanted: Filter) -> list[str]:
        """Values that no item has. Raises UsageError for those of a column that is asked by ranges
        alone.
        """
        if wanted.values and column in self.fractions:
            raise UsageError(
                f"{column} holds numbers with a fraction, and {wanted.values[0]!r} is one value",
                "Ask for a range: {'gte': 5, 'lt': 20}",
                code="invalid_filter",
            )
        known = self.row_of.get(column, {})
        return [value for value in dict.fromkeys(wanted.values) if value not in known]

    def _note(self, column: str, value: str) -> str:
        known = self.row_of[column]
        hint = ""
        if len(known) <= _MOST_COMPARED:
            hint = nearest(value, known)
        return f"no item has {column} = {value!r}. {hint or _some_of(known)}"

    def _having(self, column: str, values: Iterable[str]) -> BoolArray:
        """(items,) which have one of the values."""
        has_value = np.zeros(self.lists.shape[1], bool)
        row_of_value = self.row_of[column]
        for value in values:
            if value in row_of_value:
                has_value[self.items_with(row_of_value[value])] = True
        return has_value

    def _within(self, column: str, wanted: Filter, notes: list[str]) -> BoolArray:
        """(items,) which have a number within the bounds.

        Raises UsageError for a column without numbers.
        """
        numbers, span = self._numbers(column)
        if span is None:
            raise UsageError(
                f"{column} holds no numbers, so that no range can be asked for",
                _some_of(self.row_of[column]),
                code="invalid_filter",
            )
        is_within = ~np.isnan(numbers)
        if wanted.gte is not None:
            is_within &= numbers >= wanted.gte
        if wanted.gt is not None:
            is_within &= numbers > wanted.gt
        if wanted.lte is not None:
            is_within &= numbers <= wanted.lte
        if wanted.lt is not None:
            is_within &= numbers < wanted.lt
        if not is_within.any():
            notes.append(f"no {column} is in that range: they are {span.least:g} to {span.most:g}")
        if column in self.fractions:
            return is_within
        # The lists of a column lie one behind the other: one stretch of `indices` holds the items of
        # all its values. is_within is (values,), is_of_item (entries of the stretch,).
        first = next(iter(self.row_of[column].values()))
        starts = self.lists.indptr[first : first + len(numbers) + 1]
        items = self.lists.indices[starts[0] : starts[-1]]
        is_of_item = np.repeat(is_within, np.diff(starts))
        has_number = np.zeros(self.lists.shape[1], bool)
        has_number[items[is_of_item]] = True
        return has_number

    def _numbers(self, column: str) -> _Numbers:
        if column not in self._numbers_of:
            if column in self.fractions:
                numbers = self.fractions[column]
            else:
                texts = pl.Series(list(self.row_of[column]), dtype=pl.String)
                numbers = texts.cast(pl.Float64, strict=False).to_numpy().copy()
                # A value that reads "inf" is a word.
                numbers[np.isinf(numbers)] = np.nan
            self._numbers_of[column] = _Numbers.of(numbers)
        return self._numbers_of[column]

    @cached_property
    def _numbers_of(self) -> dict[str, _Numbers]:
        return {}

    def save(self, folder: Path) -> None:
        self.named.write_parquet(folder / _FILE)
        save_matrix(folder, _NAME, self.lists, weighted=False)

    @staticmethod
    def load(folder: Path, item_table: pl.DataFrame) -> "ItemAttributes":
        """Those of a bundle; made from the item table where an older version wrote it without."""
        if not (folder / _FILE).exists():
            return read_attributes_of(item_table, {})
        lists = load_matrix(folder, _NAME, len(item_table), False)
        return ItemAttributes(read_parquet(folder / _FILE), lists, _fractions(item_table))


def read_attributes_of(table: pl.DataFrame, separators: Mapping[str, str]) -> ItemAttributes:
    """From a table with one row per item.

    separators: of the columns whose text holds several values.

    Columns of numbers with a fraction have no lists: nobody asks for one by equality.
    """
    schema = {OWNER: pl.Int64, VALUE: pl.String, _COLUMN: pl.String}
    pairs = [pl.DataFrame(schema=schema)]
    for name in table.columns:
        if name not in _NO_ATTRIBUTES and not table[name].dtype.is_float():
            values = owner_values(table[name], separators.get(name))
            pairs.append(values.with_columns(pl.lit(name).alias(_COLUMN)))
    rows = pl.concat(pairs).sort(_COLUMN, VALUE, OWNER)
    # In that order rows are the lists of a CSR matrix already, one after another: their owners are
    # its indices, and the lengths of the runs give its indptr.
    named = rows.select(_COLUMN, VALUE).unique(maintain_order=True)
    lengths = rows.group_by(_COLUMN, VALUE, maintain_order=True).len()["len"]
    ends = np.cumsum(lengths.to_numpy(), dtype=np.int64)
    indptr = np.concatenate([[0], ends])  # (len(named) + 1,)
    items = rows[OWNER].to_numpy().astype(np.int32)
    ones = np.ones(len(items), np.int8)
    lists = sparse.csr_matrix((ones, items, indptr), shape=(len(named), len(table)))
    return ItemAttributes(named, lists, _fractions(table))


def _fractions(table: pl.DataFrame) -> dict[str, Float64Array]:
    """(items,) numbers of the columns that hold such with a fraction."""
    numbers = {}
    for name in table.columns:
        if name not in _NO_ATTRIBUTES and table[name].dtype.is_float():
            number = pl.col(name)
            # NaN stands for what is none, infinities and nulls among them.
            finite = pl.when(number.is_finite()).then(number.cast(pl.Float64))
            column = table.select(finite.fill_null(float("nan"))).to_series()
            numbers[name] = column.to_numpy()
    return numbers


def _some_of(values: Iterable[str]) -> str:
    """What to choose from, in a message."""
    first = [repr(value) for value in islice(values, 10)]
    return f"Items have {', '.join(first)}"

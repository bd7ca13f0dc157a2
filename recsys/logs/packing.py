"""Several whole-number columns in one 64-bit key: sorting and comparing rows at the price of one
number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.core.arrays import Int64Array, IntArray

_BITS = 63  # of an Int64 without the sign, so that keys sort as they stand


@dataclass(frozen=True)
class Packed:
    """keys: (n,) of rows whose columns stand side by side in whole numbers from 0.

    columns: how each is laid out, the topmost first.
    """

    keys: Int64Array
    columns: tuple["Column", ...]

    def sort(self) -> "Packed":
        return self.of(np.sort(self.keys))

    def of(self, keys: Int64Array) -> "Packed":
        """Other rows in the same layout."""
        return Packed(keys, self.columns)

    def one_a_group(self, last: bool) -> "Packed":
        """The first (or `last`) of sorted rows that agree in all columns but the last one."""
        # Shifted by the bits of the last column, keys hold the others alone.
        group = self.keys >> self.columns[-1].bits
        changes = group[1:] != group[:-1]
        # Row i ends its group if i + 1 begins another; it is the first if it differs from i − 1.
        ends = np.append(changes, True) if last else np.insert(changes, 0, True)
        # Without a row, the border alone is left: it is cut off.
        of_rows = ends[: len(group)]
        return self.of(self.keys[of_rows])

    def arrays(self) -> dict[str, Int64Array]:
        """The columns again, (n,) each."""
        arrays = {}
        remaining = self.keys
        # The last column has the lowest bits.
        for column in reversed(self.columns):
            mask = (1 << column.bits) - 1
            arrays[column.name] = column.values(remaining & mask)
            remaining = remaining >> column.bits
        return arrays


@dataclass(frozen=True)
class Column:
    """Whole numbers as numbers from 0 in the same order: less the smallest, or ranks.

    low: the smallest.
    levels: the distinct numbers, ascending, where ranks among them stand for numbers.
    bits: of the largest that stands for one.
    """

    name: str
    low: int
    bits: int
    levels: Int64Array | None = None

    def values(self, numbers: Int64Array) -> Int64Array:
        """(n,) what `numbers` stand for."""
        return numbers + self.low if self.levels is None else self.levels[numbers]


def pack(columns: Mapping[str, IntArray]) -> Packed | None:
    """Columns of whole numbers, (n,) each, as keys in the order of the rows; None when they need
    more than 63 bits.
    """
    layout = {}
    for name, values in columns.items():
        layout[name] = _from_lowest(name, values)
    ranks = {}
    # Ranks take no more bits than there are rows, and longer to find: the widest columns first.
    for column in sorted(layout.values(), key=lambda column: column.bits, reverse=True):
        if _bits_of(layout) <= _BITS:
            break
        layout[column.name], ranks[column.name] = _as_ranks(column.name, columns[column.name])
    if _bits_of(layout) > _BITS:
        return None

    num_rows = len(next(iter(columns.values()), ()))
    keys = np.zeros(num_rows, np.int64)
    # The first column ends topmost, so that keys sort as rows do, column by column.
    for name, column in layout.items():
        keys <<= column.bits
        if name in ranks:
            keys |= ranks[name]
        else:
            keys |= columns[name].astype(np.int64) - column.low
    return Packed(keys, tuple(layout.values()))


def _from_lowest(name: str, values: IntArray) -> Column:
    """A column as numbers less the smallest."""
    low = int(values.min()) if len(values) else 0
    high = int(values.max()) if len(values) else 0
    return Column(name, low, (high - low).bit_length())


def _as_ranks(name: str, values: IntArray) -> tuple[Column, Int64Array]:
    """A column as ranks, which need as many numbers as there are however far apart, and these."""
    levels, ranks = np.unique(values, return_inverse=True)
    largest_rank = max(len(levels) - 1, 0)
    return Column(name, 0, largest_rank.bit_length(), levels.astype(np.int64)), ranks


def _bits_of(layout: Mapping[str, Column]) -> int:
    return sum(column.bits for column in layout.values())


def sort_rows(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Rows in the order of the columns `by`; the order of equal rows is not defined."""
    integers = all(kind.is_integer() for kind in rows.schema.dtypes())
    # Keys that hold every column give whole rows back: one array is sorted, nothing gathered.
    if integers and set(rows.columns) == set(by):
        packed = pack({column: rows[column].to_numpy() for column in by})
        if packed is not None:
            return unpacked(packed.sort(), rows)
    return rows.sort(by)


def unpacked(packed: Packed, like: pl.DataFrame) -> pl.DataFrame:
    """The packed columns as a table with the columns and types of `like`."""
    table = pl.DataFrame(packed.arrays(), schema=like.columns)
    return table.cast(like.schema)

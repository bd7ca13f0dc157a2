"""Several whole-number columns in one 64-bit key: sorting and comparing rows at the price of one
number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.core.arrays import Int64Array, IntArray

_BITS = 63


@dataclass(frozen=True)
class Packed:
    """keys: (n,) of rows whose `columns` were shifted by `low` to start at 0 and laid side by side,
    the first on top.
    """

    keys: Int64Array
    columns: tuple[str, ...]
    low: tuple[int, ...]
    bits: tuple[int, ...]

    def sort(self) -> "Packed":
        return self.of(np.sort(self.keys))

    def of(self, keys: Int64Array) -> "Packed":
        """Other rows in the same layout."""
        return Packed(keys, self.columns, self.low, self.bits)

    def one_a_group(self, last: bool) -> "Packed":
        """The first (or `last`) of sorted rows that agree in all columns but the last one."""
        group = self.keys >> self.bits[-1]
        changes = group[1:] != group[:-1]
        ends = np.append(changes, True) if last else np.insert(changes, 0, True)
        return self.of(self.keys[ends[: len(group)]])

    def arrays(self) -> dict[str, Int64Array]:
        """The columns again, (n,) each."""
        columns = {}
        remaining = self.keys
        layout = list(zip(self.columns, self.low, self.bits, strict=True))
        # The last column has the lowest bits.
        for column, low, bits in reversed(layout):
            mask = (1 << bits) - 1
            columns[column] = (remaining & mask) + low
            remaining = remaining >> bits
        return columns


def pack(columns: dict[str, IntArray]) -> Packed | None:
    """Columns of whole numbers, (n,) each, as keys in the order of the rows; None when they need
    more than 63 bits.
    """
    lows = []
    bits = []
    num_rows = 0
    for values in columns.values():
        num_rows = len(values)
        low = int(values.min()) if num_rows else 0
        high = int(values.max()) if num_rows else 0
        lows.append(low)
        bits.append((high - low).bit_length())
    if sum(bits) > _BITS:
        return None

    keys = np.zeros(num_rows, np.int64)
    for values, low, width in zip(columns.values(), lows, bits, strict=True):
        keys <<= width
        keys |= values.astype(np.int64) - low
    return Packed(keys, tuple(columns), tuple(lows), tuple(bits))


def sort_rows(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Rows in the order of the columns `by`; the order of equal rows is not defined."""
    integers = all(kind.is_integer() for kind in rows.schema.dtypes())
    if integers and set(rows.columns) == set(by):
        packed = pack({column: rows[column].to_numpy() for column in by})
        if packed is not None:
            return unpacked(packed.sort(), rows)
    return rows.sort(by)


def unpacked(packed: Packed, like: pl.DataFrame) -> pl.DataFrame:
    """The packed columns as a table with the columns and types of `like`."""
    table = pl.DataFrame(packed.arrays(), schema=like.columns)
    return table.cast(like.schema)

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
        differs = np.ones(len(group), bool)
        np.not_equal(group[1:], group[:-1], out=differs[:-1] if last else differs[1:])
        return self.of(self.keys[differs])

    def arrays(self) -> dict[str, Int64Array]:
        """The columns again, (n,) each."""
        left, found = self.keys, {}
        for column, low, bits in zip(
            self.columns[::-1], self.low[::-1], self.bits[::-1], strict=True
        ):
            found[column] = (left & ((1 << bits) - 1)) + low
            left = left >> bits
        return found


def pack(columns: dict[str, IntArray]) -> Packed | None:
    """Columns of whole numbers, (n,) each, as keys in the order of the rows; None when they need
    more than 63 bits.
    """
    low = tuple(int(values.min()) if len(values) else 0 for values in columns.values())
    spans = [
        int(values.max()) - least if len(values) else 0
        for values, least in zip(columns.values(), low, strict=True)
    ]
    bits = tuple(span.bit_length() for span in spans)
    if sum(bits) > _BITS:
        return None
    keys = np.zeros(len(next(iter(columns.values()))), np.int64)
    for values, least, width in zip(columns.values(), low, bits, strict=True):
        keys <<= width
        keys |= values.astype(np.int64) - least
    return Packed(keys, tuple(columns), low, bits)


def sort_rows(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Rows in the order of the columns `by`; the order of equal rows is not defined."""
    whole = all(rows.schema[column].is_integer() for column in rows.columns)
    if whole and set(rows.columns) == set(by):
        packed = pack({column: rows[column].to_numpy() for column in by})
        if packed is not None:
            return unpacked(packed.sort(), rows)
    return rows.sort(by)


def unpacked(packed: Packed, like: pl.DataFrame) -> pl.DataFrame:
    """The packed columns as a table with the columns and types of `like`."""
    arrays = packed.arrays()
    return pl.DataFrame(
        [pl.Series(column, arrays[column]).cast(kind) for column, kind in like.schema.items()]
    )

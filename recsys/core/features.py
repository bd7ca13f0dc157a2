"""Columns as numbers: what a table says of an item or user, as a row that a model can project."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Float32Array, Float64Array
from recsys.core.errors import DataError
from recsys.core.values import OWNER, VALUE, owner_values

FEATURE = "feature"
"""What stands in place of a node type where a column has no nodes, but numbers."""
_MOST_VALUES = 4096


@dataclass(frozen=True)
class FeatureColumn:
    """How one column becomes `width` numbers, as fitted on the rows of a phase.

    labels: values that each have a place, holding 0 or 1; none for numbers and lists of numbers.
    mean: (width,), taken off; scale: then multiplied, so that rows have a root mean square length
    of 1. separator: of several values.
    """

    column: str
    mean: tuple[float, ...]
    scale: float = 1.0
    labels: tuple[str, ...] = ()
    separator: str | None = None

    @property
    def width(self) -> int:
        return len(self.mean)

    @classmethod
    def fit(cls, column: pl.Series, separator: str | None = None) -> Self:
        """From the rows of a phase. Raises DataError for lists of several lengths, and for too many
        distinct values.
        """
        if not _is_numbers(column):
            texts = owner_values(column, separator)[VALUE]
            # Sorted, so that places do not depend on the order of the rows.
            labels = tuple(texts.unique().sort())
            _require_few(column.name, labels)
            return cls(column.name, (0.0,) * len(labels), 1.0, labels, separator)
        values, usable = _numbers(column, _length(column))
        if not usable.any():
            return cls(column.name, (0.0,) * values.shape[1])
        rows = values[usable]
        mean = rows.mean(axis=0)
        # scale = 1 / √(mean of ‖x − mean‖²): the root mean square length of centred rows becomes 1.
        squared_lengths = np.square(rows - mean).sum(axis=1)
        length = float(np.sqrt(squared_lengths.mean()))
        # Rows that are all alike have length 0 and stay zeros under any scale.
        scale = 1 / length if length else 1.0
        return cls(column.name, tuple(mean.tolist()), scale)

    def apply(self, column: pl.Series) -> tuple[Float32Array, int]:
        """(rows, width), zeros where a row says nothing that can be used; and how many rows that
        are.
        """
        if self.labels:
            return _marks(column, self.labels, self.separator)
        if not self.width:
            return np.zeros((len(column), 0), np.float32), len(column)
        values, usable = _numbers(column, self.width)
        centred = values - np.array(self.mean)
        # Unusable rows, 0 before, are −mean now: zeros again, which is the mean of usable rows.
        scaled = centred * self.scale * usable[:, None]
        return scaled.astype(np.float32), int((~usable).sum())

    def document(self) -> dict[str, Any]:
        """As JSON; `read` is the inverse."""
        return vars(self) | {"mean": list(self.mean), "labels": list(self.labels)}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        lists = {name: tuple(document[name]) for name in ("mean", "labels")}
        return cls(**document | lists)


def _is_numbers(column: pl.Series) -> bool:
    if isinstance(column.dtype, pl.List | pl.Array):
        inner = column.dtype.inner
        return inner is not None and bool(inner.is_numeric())
    return column.dtype.is_numeric()


def _length(column: pl.Series) -> int:
    """Numbers a row; 1 for a plain column."""
    if not isinstance(column.dtype, pl.List | pl.Array):
        return 1
    lists = column.cast(pl.List(pl.Float64)).drop_nulls()
    lengths = lists.list.len().unique().sort().to_list()
    if len(lengths) > 1:
        raise DataError(
            f"the lists of the column {column.name!r} have {lengths[0]} to {lengths[-1]} numbers",
            "Give every row as many",
        )
    return int(lengths[0]) if lengths else 0


def _numbers(column: pl.Series, width: int) -> tuple[Float64Array, BoolArray]:
    """(rows, width) numbers, 0 in unusable rows, and (rows,) which are usable: there, of that
    length, and finite.
    """
    if not column.dtype.is_nested():
        column = column.cast(pl.Float64).reshape((-1, 1))
    lists = column.cast(pl.List(pl.Float64))
    # Only lists of this length are laid side by side: others would shift all rows after them.
    has_width = (lists.list.len() == width).fill_null(False)
    numbers = lists.filter(has_width).explode().cast(pl.Float64)

    fits = has_width.to_numpy()
    values = np.zeros((len(column), width))
    values[fits] = numbers.to_numpy().reshape(int(fits.sum()), width)
    usable = fits & np.isfinite(values).all(axis=1)
    values[~usable] = 0.0
    return values, usable


def _marks(
    column: pl.Series, labels: tuple[str, ...], separator: str | None
) -> tuple[Float32Array, int]:
    """(rows, labels) 1 where a row has a value, and how many rows have none."""
    position = {label: number for number, label in enumerate(labels)}
    values = owner_values(column, separator)
    # Values that were not there when the column was fitted have no place.
    known = values.filter(pl.col(VALUE).is_in(labels))
    rows = known[OWNER].to_numpy()
    columns = [position[value] for value in known[VALUE]]
    marks = np.zeros((len(column), len(labels)), np.float32)
    marks[rows, columns] = 1.0
    without_value = ~marks.any(axis=1)
    return marks, int(without_value.sum())


def _require_few(column: str, labels: tuple[str, ...]) -> None:
    if len(labels) > _MOST_VALUES:
        raise DataError(
            f"the column {column!r} has {len(labels):,} values, too many for a feature",
            f'Up to {_MOST_VALUES:,} fit; make them nodes with use = "nodes"',
        )

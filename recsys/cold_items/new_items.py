"""A table of items that nobody has had yet: checked against those that are known, and given vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.cold_items.item_map import ItemFeature, ItemMap, known_values
from recsys.content.encoding import ContentEncoding
from recsys.core.arrays import BoolArray, Float32Array
from recsys.core.errors import DataError, UsageError, nearest
from recsys.core.features import FeatureColumn
from recsys.core.ids import UNKNOWN, IdMap
from recsys.core.tables import AVAILABLE, ITEM, ITEM_ID, Drops

NO_VALUE = "item without a known value"
PRESENT = "item already there"


@dataclass(frozen=True)
class KnownItems:
    """The items that new ones join.

    ids: by internal id.
    table: one row for each, with the columns that a table of new items may have; None for none.
    vectors: (items, d).
    labels: by node type of attributes, what each node stands for.
    num_cold: how many of the last items have no interactions either.
    """

    ids: IdMap
    table: pl.DataFrame | None
    vectors: Float32Array
    labels: Mapping[str, Sequence[str]]
    num_cold: int = 0

    @property
    def columns(self) -> list[str]:
        """Of the table, without id and availability."""
        if self.table is None:
            return []
        return [name for name in self.table.columns if name not in (ITEM_ID, AVAILABLE)]


@dataclass(frozen=True)
class NewItems:
    """Items that join the known ones.

    table: ITEM_ID, AVAILABLE and the columns of the known items.
    vectors: (n, d).
    states: (layers, n, d) what they send to users in each layer.
    values: by feature, (n, values) 0/1 or numbers.
    drops: rows left out, by reason.
    unknown: by feature, values that no item had in training.
    """

    table: pl.DataFrame
    vectors: Float32Array
    states: Float32Array
    values: Mapping[str, sparse.csr_matrix]
    drops: Drops
    unknown: dict[str, int]

    def __len__(self) -> int:
        return len(self.table)


def read_new_items(item_map: ItemMap | None, known: KnownItems, table: pl.DataFrame) -> NewItems:
    """What a table says of new items.

    An item without any value that was known in training has nothing to be placed by and is left
    out; so is one that is there already with the same vector.

    Args:
        item_map: gives items their vectors.
        known: the items that are there.
        table: ITEM_ID, and any column of the known items, of the item map's features, AVAILABLE.

    Raises:
        DataError: for another column, an id given twice or an id that is taken.
        UsageError: without an item map.
    """
    if item_map is None:
        raise UsageError(
            "this model does not know what its items are, so that new ones cannot be placed",
            'Train with graph.attributes = [{ column = "…" }] of the item table',
        )
    _check_columns(table, [ITEM_ID, AVAILABLE, *known.columns, *item_map.columns])
    _check_once(table[ITEM_ID])
    values: dict[str, sparse.csr_matrix] = {}
    unknown: dict[str, int] = {}
    num_values = np.zeros(len(table), np.int64)
    for feature in item_map.features:
        num_fitted = len(item_map.weights[feature.name])
        matrix, num_unknown = _values_of(feature, num_fitted, known, table)
        values[feature.name], unknown[feature.name] = matrix, num_unknown
        num_values += np.diff(matrix.indptr)
    vectors = item_map.vectors(values)
    has_value = num_values > 0
    is_known = _already_known(known, table, vectors)
    is_new = has_value & ~is_known
    num_without_value = int((~has_value).sum())
    num_present = int((has_value & is_known).sum())
    drops = Drops({NO_VALUE: num_without_value, PRESENT: num_present})
    return NewItems(
        table=_as_known(known, table.filter(pl.Series(is_new))),
        vectors=vectors[is_new],
        states=item_map.layer_states(vectors[is_new]),
        values={name: matrix[is_new] for name, matrix in values.items()},
        drops=+drops,
        unknown=unknown,
    )


def _check_columns(table: pl.DataFrame, allowed: list[str]) -> None:
    for name in table.columns:
        if name not in allowed:
            hint = nearest(name, allowed) or f"It may have {sorted(set(allowed))}"
            raise DataError(f"the table of new items has the unknown column {name!r}", hint)


def _check_once(ids: pl.Series) -> None:
    repeated = ids.filter(ids.is_duplicated())
    if len(repeated):
        raise DataError(
            f"the table of new items names {repeated[0]!r} more than once",
            "Give one row for each item",
        )


def _values_of(
    feature: ItemFeature, num_fitted: int, known: KnownItems, table: pl.DataFrame
) -> tuple[sparse.csr_matrix, int]:
    """(rows, values) of one feature, and the number of values that are not known.

    num_fitted: how many values the map was fitted on; later items are no values of links.
    """
    if feature.content is not None:
        return _contents_of(feature.content, num_fitted, table), 0
    if feature.numbers is not None:
        return _numbers_of(feature.numbers, feature.name, table), 0
    if feature.source == ITEM:
        labels: Sequence[str] = known.ids.ids.to_list()
    else:
        labels = known.labels[feature.source]
    fitted = labels[:num_fitted]
    if feature.name not in table.columns:
        return sparse.csr_matrix((len(table), len(fitted)), dtype=np.float32), 0
    return known_values(table[feature.name], fitted, feature.separator)


def _contents_of(content: ContentEncoding, width: int, table: pl.DataFrame) -> sparse.csr_matrix:
    """(rows, width) of texts or pictures; zeros where a row has none. Raises DataError where the
    encoder is another than the map was fitted on.
    """
    inputs = content.inputs_of(table)
    vectors = content.encode(inputs)
    if vectors.shape[1] != width and any(inputs):
        raise DataError(
            f"the encoder of {content.name!r} gives {vectors.shape[1]} numbers, where the model was "
            f"fitted on {width}",
            "Name the encoder that the run had",
        )
    if vectors.shape[1] != width:
        return sparse.csr_matrix((len(table), width), dtype=np.float32)
    return sparse.csr_matrix(vectors)


def _numbers_of(document: dict[str, Any], name: str, table: pl.DataFrame) -> sparse.csr_matrix:
    """(rows, numbers) of a column; zeros where the table lacks it."""
    if name not in table.columns:
        width = len(document["mean"])
        return sparse.csr_matrix((len(table), width), dtype=np.float32)
    numbers, _ = FeatureColumn.read(document).apply(table[name])
    return sparse.csr_matrix(numbers)


def _already_known(known: KnownItems, table: pl.DataFrame, vectors: Float32Array) -> BoolArray:
    """(rows,) which are there as they would be placed now.

    Raises DataError for an id that stands for something else.
    """
    internal = known.ids.lookup(table[ITEM_ID].to_list())
    is_known = internal != UNKNOWN
    for row in np.flatnonzero(is_known):
        item = internal[row]
        if not np.array_equal(known.vectors[item], vectors[row]):
            was_trained = item < len(known.ids) - known.num_cold
            what = "was trained" if was_trained else "was added with other values"
            raise DataError(
                f"item {table[ITEM_ID][int(row)]!r} is already there: it {what}",
                "Leave it out; the next recsys run reads it from the item table",
            )
    return np.asarray(is_known)


def _as_known(known: KnownItems, table: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns and types of the known items.

    Raises DataError for a column that does not fit.
    """
    available = pl.Series(AVAILABLE, [True] * len(table))
    if AVAILABLE in table.columns:
        available = table[AVAILABLE].cast(pl.Boolean).fill_null(True)
    rows = table.select(ITEM_ID).with_columns(available)
    if known.table is None:
        return rows
    for name in known.columns:
        kind = known.table[name].dtype
        if name not in table.columns:
            nulls = pl.lit(None, dtype=kind)
            rows = rows.with_columns(nulls.alias(name))
            continue
        try:
            rows = rows.with_columns(table[name].cast(kind))
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"column {name!r} of the table of new items is not of type {kind}: {error}"
            ) from None
    return rows

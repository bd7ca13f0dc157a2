"""Frames of the caller: polars or pandas in, the same out, with the caller's names and types of
ids.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from recsys.core.errors import DataError, UsageError, nearest
from recsys.core.ids import LARGEST_EXACT, id_text
from recsys.core.tables import RANK, SCORE
from recsys.logs.formats import first_line

Frame: TypeAlias = pl.DataFrame | Any  # or a pandas frame, whose types mypy does not see

SIMILAR = "similar_"
"""Before the name of an id column: the ids that are similar to those asked for."""


@dataclass(frozen=True)
class FrameStyle:
    """How the caller writes a log.

    library: "polars" or "pandas".
    user_col, item_col: names of the id columns.
    integers: which of them hold whole numbers, and so come back as integers.
    """

    library: str
    user_col: str
    item_col: str
    integers: tuple[str, ...]

    @staticmethod
    def of(frame: object, table: pl.DataFrame, user_col: str, item_col: str) -> "FrameStyle":
        """The style of a log.

        Args:
            frame: The log as the caller gave it.
            table: The same as `to_polars` reads it.
            user_col: Name of the column of users.
            item_col: Name of the column of items.
        """
        integers = [name for name in (user_col, item_col) if _holds_whole_numbers(table[name])]
        library = "pandas" if is_pandas(frame) else "polars"
        return FrameStyle(library, user_col, item_col, tuple(integers))

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> Frame:
        """A table of results as the caller writes logs.

        Ids are text in `columns`. They come back as integers where the log had those, and stay text
        beside an id that was asked for and is no integer. Nothing here needs the threads of polars,
        which a forked worker lacks.
        """
        series = {name: self._series(name, values) for name, values in columns.items()}
        if self.library == "polars":
            return pl.DataFrame(series)
        import pandas as pd

        arrays = {name: _pandas_values(values) for name, values in series.items()}
        return pd.DataFrame(arrays)

    def _series(self, name: str, values: Sequence[Any]) -> pl.Series:
        if name == SCORE:
            return pl.Series(name, values, dtype=pl.Float32)
        if name == RANK:
            return pl.Series(name, values, dtype=pl.Int32)
        if name.removeprefix(SIMILAR) in self.integers or name in self.integers:
            numbers = _whole_numbers(values)
            if numbers is not None:
                return pl.Series(name, numbers, dtype=pl.Int64)
        return pl.Series(name, values, dtype=pl.String)

    @staticmethod
    def read(document: dict[str, Any]) -> "FrameStyle":
        """The inverse of `document`."""
        return FrameStyle(**document | {"integers": tuple(document["integers"])})

    def document(self) -> dict[str, Any]:
        return asdict(self)


def to_polars(
    frame: object, ids: Sequence[str] = (), columns: Collection[str] | None = None
) -> pl.DataFrame:
    """A frame of the caller, read by polars.

    Args:
        frame: Of polars or pandas.
        ids: Columns that it must have, in the index of a pandas frame if not beside it; ids of
            mixed types, UUIDs among them, become text.
        columns: Names of those that are read, where they exist; all when None.

    Raises:
        DataError: It is no frame, lacks a column of ids, has two columns of one name, or a column
            that no single type holds.
    """
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        _require(ids, frame.columns)
        return _read_columns(frame, ids, columns)
    if is_pandas(frame):
        return _from_pandas(frame, ids, columns)
    raise DataError(
        f"expected a polars or pandas frame, got {type(frame).__name__}",
        "Wrap it in polars.DataFrame",
    )


def is_pandas(frame: object) -> bool:
    """Whether it is a frame of pandas, without importing pandas for it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def ids_of(values: object, column: str = "") -> list[str]:
    """Ids as text, by the one rule of `core.ids`.

    values: one id, a collection of ids, a Series, an array, or a frame.
    column: of a frame with several columns, the one that holds the ids.

    Raises UsageError for None, for a place without an id, and for a frame without the column.
    """
    if values is None:
        raise UsageError("no ids were given", "Pass one id or a list of ids")
    texts = []
    for position, value in enumerate(_listed(values, column)):
        text = id_text(value)
        if text is None:
            raise UsageError(
                f"the id at place {position} is missing ({value!r})", "Leave missing ids out"
            )
        texts.append(text)
    return texts


def list_columns(
    answers: Sequence[Mapping[str, Any]], asked: str, asked_ids: Sequence[str], item_col: str
) -> dict[str, list[Any]]:
    """Columns of a table with a row for each place of each list.

    Args:
        answers: Lists, one for each id that was asked about.
        asked: Name of the column of those ids.
        asked_ids: The ids.
        item_col: Name of the column of what the lists hold.

    Returns:
        By name: asked ids, listed ids, scores and ranks.
    """
    columns: dict[str, list[Any]] = {asked: [], item_col: [], SCORE: [], RANK: []}
    for asked_id, answer in zip(asked_ids, answers, strict=True):
        for item in answer["items"]:
            columns[asked].append(asked_id)
            columns[item_col].append(item["id"])
            columns[SCORE].append(item["score"])
            columns[RANK].append(item["rank"])
    return columns


def plain_value(value: object) -> object:
    """A parameter without types of numpy or pandas: what JSON and the configuration can hold."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return tuple(plain_value(entry) for entry in value)
    if hasattr(value, "tolist"):
        return plain_value(value.tolist())
    return value


def _holds_whole_numbers(column: pl.Series) -> bool:
    """Whether ids are integers, or floats that stand for integers, as beside gaps in pandas."""
    if column.dtype.is_integer():
        return True
    if not column.dtype.is_float():
        return False
    numbers = column.drop_nulls().drop_nans()
    is_whole = numbers == numbers.floor()
    is_exact = numbers.abs() <= LARGEST_EXACT
    return bool(len(numbers)) and bool((is_whole & is_exact).all())


def _whole_numbers(texts: Sequence[str]) -> list[int] | None:
    """The integers that all of these ids are, or None."""
    numbers = []
    for text in texts:
        try:
            numbers.append(int(text))
        except ValueError:
            return None
    return numbers


def _pandas_values(series: pl.Series) -> object:
    if series.dtype == pl.String:
        # An empty list would leave the type to pandas.
        return series.to_list() or np.empty(0, object)
    return series.to_numpy()


def _require(ids: Sequence[str], columns: Sequence[str]) -> None:
    for name in ids:
        if name not in columns:
            known = f"It has {list(columns)}; user_col and item_col say which hold the ids"
            raise DataError(f"the frame has no column {name!r}", nearest(name, columns) or known)


def _read_columns(
    frame: pl.DataFrame, ids: Sequence[str], columns: Collection[str] | None
) -> pl.DataFrame:
    names = [name for name in frame.columns if columns is None or name in columns]
    table = frame.select(names)
    for name in names:
        if table.schema[name] == pl.Object:
            table = table.with_columns(_object_column(name, table[name].to_list(), name in ids))
    return table


def _from_pandas(frame: Any, ids: Sequence[str], columns: Collection[str] | None) -> pl.DataFrame:
    """Column by column, so that an error can name the column."""
    in_index = [name for name in frame.index.names if name in ids and name not in frame.columns]
    if in_index:
        frame = frame.reset_index(level=in_index)
    names = [str(name) for name in frame.columns]
    _require(ids, names)
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"the frame has several columns named {name!r}", "Rename or drop all but one"
            )
    series = []
    for position, name in enumerate(names):
        if columns is None or name in columns:
            # By position, for a name may be no text.
            series.append(_pandas_column(name, frame.iloc[:, position], name in ids))
    return pl.DataFrame(series)


def _pandas_column(name: str, column: Any, is_id: bool) -> pl.Series:
    if column.dtype == object:
        return _object_column(name, column.tolist(), is_id)
    try:
        return pl.Series(name, pl.from_pandas(column))
    except (PolarsError, TypeError, ValueError) as error:
        raise _unreadable(name, first_line(error)) from error


def _object_column(name: str, values: list[Any], is_id: bool) -> pl.Series:
    """Values of any types. Ids of several types become text, integers stay integers."""
    known = [value for value in values if id_text(value) is not None]
    # To Python, a bool is an integer.
    integers = [isinstance(value, Integral) and not isinstance(value, bool) for value in known]
    if is_id and not all(integers):
        return pl.Series(name, [id_text(value) for value in values], dtype=pl.String)
    plain: list[Any] = []
    for value in values:
        if isinstance(value, str | UUID):
            plain.append(str(value))
        elif isinstance(value, np.generic):
            plain.append(value.item())
        elif type(value).__name__ in ("NAType", "NaTType"):
            plain.append(None)
        else:
            plain.append(value)
    types = sorted({type(value).__name__ for value in known})
    try:
        return pl.Series(name, plain, strict=True, nan_to_null=True)
    except (PolarsError, TypeError, ValueError, OverflowError) as error:
        reason = f"it mixes {' and '.join(types)}" if len(types) > 1 else first_line(error)
        raise _unreadable(name, reason) from error


def _unreadable(name: str, reason: str) -> DataError:
    remedy = f"Give the column one type, for example frame[{name!r}].astype(str)"
    return DataError(f"cannot read the column {name!r} of the frame: {reason}", remedy)


def _listed(values: object, column: str) -> Iterable[object]:
    """The ids one by one."""
    if is_pandas(values) or isinstance(values, pl.DataFrame):
        return _column_of(values, column)
    if isinstance(values, str | bytes | Mapping):
        return [values]
    if hasattr(values, "tolist"):
        listed = values.tolist()
        return listed if isinstance(listed, list) else [listed]
    return values if isinstance(values, Iterable) else [values]


def _column_of(frame: Any, column: str) -> Iterable[object]:
    names = [str(name) for name in frame.columns]
    if len(names) == 1:
        column = names[0]
    if column not in names:
        raise UsageError(
            f"a frame with the columns {names} was given for ids",
            f"Give one column of it, for example frame[{(column or names[0])!r}]"
            if names
            else "Give a list of ids",
        )
    values = frame[column]
    return values.to_list()  # type: ignore[no-any-return]

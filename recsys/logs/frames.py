"""Frames of the caller: polars or pandas in, the same out, with the caller's names and types of
ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import pandas as pd
import polars as pl

from recsys.core.errors import DataError, UsageError
from recsys.core.tables import RANK, SCORE

Frame: TypeAlias = pl.DataFrame | Any  # or a pandas frame, whose types mypy does not see


@dataclass(frozen=True)
class FrameStyle:
    """How the caller writes a log.

    library: "polars" or "pandas". user_col, item_col: names of the id columns. integers: which of
    them hold integers, and so come back as integers.
    """

    library: str
    user_col: str
    item_col: str
    integers: tuple[str, ...]

    @staticmethod
    def of(frame: object, user_col: str, item_col: str) -> "FrameStyle":
        """Raises DataError when `frame` is neither a polars nor a pandas frame."""
        table = to_polars(frame)
        integers = tuple(
            name
            for name in (user_col, item_col)
            if name in table and table.schema[name].is_integer()
        )
        return FrameStyle(
            "pandas" if isinstance(frame, pd.DataFrame) else "polars", user_col, item_col, integers
        )

    def back(self, table: pl.DataFrame) -> Frame:
        """A table of results as the caller writes logs; ids are text in `table`, and stay so beside
        one that was asked for and is no integer.
        """
        numbers = table.select(
            pl.col(name).cast(pl.Int64, strict=False)
            for name in self.integers
            if name in table.columns
        )
        typed = table.with_columns(column for column in numbers if not column.null_count())
        return typed.to_pandas() if self.library == "pandas" else typed

    @staticmethod
    def read(document: dict[str, Any]) -> "FrameStyle":
        """The inverse of `document`."""
        return FrameStyle(**document | {"integers": tuple(document["integers"])})

    def document(self) -> dict[str, Any]:
        return asdict(self)


def to_polars(frame: object) -> pl.DataFrame:
    """Raises DataError for anything but a polars or pandas frame."""
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pd.DataFrame):
        return pl.from_pandas(frame)
    raise DataError(
        f"expected a polars or pandas frame, got {type(frame).__name__}",
        "Wrap it in polars.DataFrame",
    )


def ids_of(values: object) -> list[object]:
    """A list of ids from one id, a sequence, a Series or an array. Raises UsageError for None."""
    if values is None:
        raise UsageError("no ids were given", "Pass one id or a list of ids")
    if isinstance(values, str | bytes | int | float):
        return [values]
    if hasattr(values, "tolist"):
        listed = values.tolist()
        return listed if isinstance(listed, list) else [listed]
    return list(values)  # type: ignore[call-overload,no-any-return]


def lists_table(
    answers: Sequence[Mapping[str, Any]], asked: str, wanted: list[object], found: str
) -> pl.DataFrame:
    """One row per list entry: what was asked for, what was found, score and rank."""
    rows = [
        (str(one), item["id"], item["score"], item["rank"])
        for one, answer in zip(wanted, answers, strict=True)
        for item in answer["items"]
    ]
    schema = {asked: pl.String, found: pl.String, SCORE: pl.Float32, RANK: pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")

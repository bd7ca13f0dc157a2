"""Batches of rows as a lazy frame, so that polars asks for the columns and rows that it needs alone."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source


def lazy_frame(
    schema: dict[str, Any] | pl.Schema, read: Callable[[list[str]], Iterator[pl.DataFrame]]
) -> pl.LazyFrame:
    """The rows of all batches, not read yet.

    schema: types of the columns by name.
    read: from the columns that are wanted, to batches with at least these.
    """

    def batches(
        columns: list[str] | None,
        predicate: pl.Expr | None,
        num_rows: int | None,
        _: int | None,
    ) -> Iterator[pl.DataFrame]:
        """What polars asks an IO source for."""
        wanted = list(schema) if columns is None else columns
        rows_left = num_rows
        for batch in read(wanted):
            frame = batch.select(wanted)
            if rows_left is not None:
                frame = frame.head(rows_left)
                rows_left -= len(frame)
            yield frame if predicate is None else frame.filter(predicate)
            if rows_left == 0:
                return

    return register_io_source(batches, schema=schema)

"""ORC files as lazy frames, a stripe after another."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from recsys.logs.lazy import lazy_frame


def scan(name: str) -> pl.LazyFrame:
    """The rows of an ORC file, not read yet. Raises pyarrow's errors for a file that is none."""
    from pyarrow.orc import ORCFile

    file = ORCFile(name)
    schema = pl.from_arrow(file.schema.empty_table()).schema  # type: ignore[union-attr]

    def stripes(wanted: list[str]) -> Iterator[pl.DataFrame]:
        for stripe in range(file.nstripes):
            rows = file.read_stripe(stripe, columns=wanted)
            yield pl.DataFrame(pa.Table.from_batches([rows]))

    return lazy_frame(schema, stripes)

"""LanceDB, embedded or on object storage: a table for each version, and a small one that names the live."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import lancedb
import numpy as np
import polars as pl
import pyarrow as pa
from lancedb.index import HnswFlat

from recsys.core.arrays import Float32Array
from recsys.core.tables import AVAILABLE
from recsys.vector_stores.rows import ID_COLUMNS, VECTOR, Changes, Kind, Rows
from recsys.vector_stores.store import (
    BUILD_ENTRIES,
    CONNECTIONS,
    ENTRIES_LOOKED_AT,
    IndexKind,
    Live,
    is_of,
    table_name,
)


class Lance:
    """NAME_live has a row for each kind: kind, table, version, bundle. All rows are replaced in one
    commit; who has opened a table goes on with it until it is dropped.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (OSError, RuntimeError, ValueError)

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.place = f"LanceDB {url}"
        self._database = lancedb.connect(url)
        self._pointer = f"{name}_live"

    def live(self) -> Live | None:
        if self._pointer not in self._names():
            return None
        rows = self._database.open_table(self._pointer).to_arrow().to_pylist()
        [items] = [row for row in rows if row["kind"] == "items"]
        return Live(items["version"], items["bundle"])

    def tables(self) -> list[str]:
        return sorted(table for table in self._names() if is_of(self.name, table))

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        created = self._database.create_table(table, _arrow(rows), mode="overwrite")
        if index == "hnsw":
            config = HnswFlat(
                distance_type="dot", num_partitions=1, m=CONNECTIONS, ef_construction=BUILD_ENTRIES
            )
            created.create_index(VECTOR, config=config)

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        opened = self._database.open_table(table)
        id_column = ID_COLUMNS["items"]
        lists = []
        for query in queries:
            search = opened.search(query, vector_column_name=VECTOR).distance_type("dot")
            # Filtered before: of the k nearest some may be withdrawn, and k are wanted.
            search = search.where(AVAILABLE, prefilter=True).ef(max(ENTRIES_LOOKED_AT, k))
            nearest = search.select([id_column, "_distance"]).limit(k).to_arrow()
            lists.append(nearest[id_column].to_pylist())
        return lists

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        rows = []
        for kind in kinds:
            table = table_name(self.name, kind, version)
            rows.append({"kind": kind, "table": table, "version": version, "bundle": bundle})
        self._database.create_table(self._pointer, pa.Table.from_pylist(rows), mode="overwrite")

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        kinds: list[Kind] = []
        for changed in changes:
            rows = changed.upserts
            kinds.append(rows.kind)
            table = self._database.open_table(table_name(self.name, rows.kind, live.version))
            merge = table.merge_insert(rows.id_column)
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            merge.execute(_arrow(rows), timeout=timedelta(hours=1))
            if changed.gone:
                # As SQL has it, a quote within a text is written twice.
                escaped = [external.replace("'", "''") for external in changed.gone]
                quoted = ", ".join(f"'{external}'" for external in escaped)
                table.delete(f"{rows.id_column} IN ({quoted})")
            table.optimize()
        self.switch(live.version, kinds, bundle)

    def drop(self, table: str) -> None:
        self._database.drop_table(table, ignore_missing=True)

    def close(self) -> None:
        """Nothing is held open."""

    def _names(self) -> list[str]:
        names: list[str] = []
        token = None
        while True:
            page: Any = self._database.list_tables(page_token=token)
            names += page.tables
            token = page.page_token
            if not token:
                return names


def _arrow(rows: Rows) -> pa.Table:
    """Attributes as they are typed in the item table."""
    frame = pl.DataFrame({rows.id_column: rows.ids})
    if rows.kind == "items":
        frame = frame.with_columns(pl.Series(AVAILABLE, rows.available))
        frame = frame.hstack(rows.attributes)
    values = pa.array(np.ascontiguousarray(rows.vectors).ravel())
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(values, rows.width))

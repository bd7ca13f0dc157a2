"""Redis with its search module: hashes and an index for each version, an alias for applications."""

import json
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
import redis
from redis.commands.search.field import Field, NumericField, TagField, VectorField
from redis.commands.search.index_definition import IndexDefinition, IndexType
from redis.commands.search.query import Query

from recsys.core.arrays import Float32Array
from recsys.core.tables import AVAILABLE, TITLE
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

SEPARATOR = "|"
"""Between the values of a column that has several."""


class RedisSearch:
    """Keys are TABLE:ID; NAME_live is a hash with the live version and bundle."""

    errors: ClassVar[tuple[type[Exception], ...]] = (redis.RedisError, OSError)

    def __init__(self, url: str, name: str) -> None:
        """A password is read from REDIS_PASSWORD."""
        self.name = name
        self.place = f"Redis {url}"
        self._client: Any = redis.Redis.from_url(url, password=os.environ.get("REDIS_PASSWORD"))
        self._state = f"{name}_live"

    def live(self) -> Live | None:
        state = self._client.hgetall(self._state)
        if not state:
            return None
        return Live(state[b"version"].decode(), state[b"bundle"].decode())

    def tables(self) -> list[str]:
        names = [index.decode() for index in self._client.execute_command("FT._LIST")]
        return sorted(name for name in names if is_of(self.name, name))

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        definition = IndexDefinition(prefix=[f"{table}:"], index_type=IndexType.HASH)
        fields = [*_attribute_fields(rows), _vector_field(rows.width, index)]
        if rows.kind == "items":
            fields.append(TagField(AVAILABLE))
        self._client.ft(table).create_index(fields, definition=definition)
        for batch in rows.batches():
            with self._client.pipeline(transaction=False) as pipeline:
                _put(pipeline, table, batch)
                pipeline.execute()

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        id_column = ID_COLUMNS["items"]
        index = self._client.ft(table)
        # A flat index refuses the setting of a graph.
        is_hnsw = self._is_hnsw(table)
        ef = f" EF_RUNTIME {max(ENTRIES_LOOKED_AT, k)}" if is_hnsw else ""
        text = f"(@{AVAILABLE}:{{true}})=>[KNN {k} @{VECTOR} $query{ef} AS distance]"
        query = Query(text).sort_by("distance").paging(0, k).return_fields(id_column).dialect(2)
        lists = []
        for vector in queries:
            result = index.search(query, {"query": vector.astype(np.float32).tobytes()})
            lists.append([getattr(document, id_column) for document in result.docs])
        return lists

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        # One transaction: nobody sees aliases of two versions.
        with self._client.pipeline(transaction=True) as pipeline:
            for kind in kinds:
                table = table_name(self.name, kind, version)
                pipeline.execute_command("FT.ALIASUPDATE", f"{self.name}_{kind}", table)
            pipeline.hset(self._state, mapping={"version": version, "bundle": bundle})
            pipeline.execute()

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        with self._client.pipeline(transaction=True) as pipeline:
            for changed in changes:
                table = table_name(self.name, changed.upserts.kind, live.version)
                # A field that an item no longer has would stay.
                for external in [*changed.upserts.ids, *changed.gone]:
                    pipeline.delete(f"{table}:{external}")
                _put(pipeline, table, changed.upserts)
            pipeline.hset(self._state, mapping={"version": live.version, "bundle": bundle})
            pipeline.execute()

    def drop(self, table: str) -> None:
        if table in self.tables():
            self._client.ft(table).dropindex(delete_documents=True)

    def close(self) -> None:
        self._client.close()

    def _is_hnsw(self, table: str) -> bool:
        facts = self._client.execute_command("FT.INFO", table)
        return "HNSW" in str(facts)


def _put(pipeline: Any, table: str, rows: Rows) -> None:
    for payload, vector in zip(rows.payloads(), rows.vectors, strict=True):
        fields = {name: _text(value) for name, value in payload.items()}
        fields[VECTOR] = vector.astype(np.float32).tobytes()
        pipeline.hset(f"{table}:{payload[rows.id_column]}", mapping=fields)


def _text(value: object) -> Any:
    """A value as a hash field."""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return SEPARATOR.join(str(element) for element in value)
    return value if isinstance(value, int | float) else str(value)


def _attribute_fields(rows: Rows) -> list[Field]:
    """Numbers can be asked by range, other columns by value."""
    fields: list[Field] = []
    for column, kind in rows.attributes.schema.items():
        if kind.is_numeric():
            fields.append(NumericField(column))
        elif column != TITLE and kind in (pl.String, pl.List(pl.String), pl.Boolean):
            fields.append(TagField(column, separator=SEPARATOR))
    return fields


def _vector_field(width: int, index: IndexKind) -> Field:
    settings: dict[str, Any] = {"TYPE": "FLOAT32", "DIM": width, "DISTANCE_METRIC": "IP"}
    if index == "hnsw":
        settings |= {"M": CONNECTIONS, "EF_CONSTRUCTION": BUILD_ENTRIES}
    return VectorField(VECTOR, index.upper(), settings)

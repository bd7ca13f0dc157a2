"""Milvus, or Milvus Lite in a file: a collection for each version, an alias for applications."""

import json
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from pymilvus import DataType, MilvusClient, MilvusException

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
    version_of,
)

_BUNDLE = "recsys.bundle"
_LONGEST_ID = 65_535  # bytes, of a VARCHAR


class Milvus:
    """Attributes are dynamic fields; the bundle whose content a collection has is a property of it."""

    errors: ClassVar[tuple[type[Exception], ...]] = (MilvusException, OSError)

    def __init__(self, url: str, name: str) -> None:
        """url: of a server, whose token is in MILVUS_TOKEN, or a file *.db for Milvus Lite."""
        self.name = name
        self.place = f"Milvus {url}"
        self._client: Any = MilvusClient(url, token=os.environ.get("MILVUS_TOKEN", ""))

    def live(self) -> Live | None:
        for table in self.tables():
            aliases = self._client.list_aliases(table)["aliases"]
            if f"{self.name}_items" in aliases:
                properties = self._client.describe_collection(table)["properties"]
                return Live(str(version_of(table)), properties[_BUNDLE])
        return None

    def tables(self) -> list[str]:
        return sorted(name for name in self._client.list_collections() if is_of(self.name, name))

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        self.drop(table)
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field(rows.id_column, DataType.VARCHAR, max_length=_LONGEST_ID, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=rows.width)
        if rows.kind == "items":
            schema.add_field(AVAILABLE, DataType.BOOL)
        indexes = self._client.prepare_index_params()
        sizes = {"M": CONNECTIONS, "efConstruction": BUILD_ENTRIES} if index == "hnsw" else {}
        indexes.add_index(VECTOR, index_type=index.upper(), metric_type="IP", params=sizes)
        # Strong: what was written before a search is found by it.
        self._client.create_collection(
            table, schema=schema, index_params=indexes, consistency_level="Strong"
        )
        self._say_bundle(table, str(version_of(table)).partition("_")[2])
        for batch in rows.batches():
            self._client.insert(table, _entities(batch))

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        hits_by_query = self._client.search(
            table,
            data=queries.tolist(),
            filter=f"{AVAILABLE} == true",
            limit=k,
            search_params={"metric_type": "IP", "params": {"ef": max(ENTRIES_LOOKED_AT, k)}},
            output_fields=[ID_COLUMNS["items"]],
        )
        id_column = ID_COLUMNS["items"]
        lists = []
        for hits in hits_by_query:
            lists.append([hit["entity"][id_column] for hit in hits])
        return lists

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        for kind in kinds:
            alias = f"{self.name}_{kind}"
            table = table_name(self.name, kind, version)
            if self._is_alias(alias):
                self._client.alter_alias(table, alias)
            else:
                self._client.create_alias(table, alias)

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        for changed in changes:
            rows = changed.upserts
            table = table_name(self.name, rows.kind, live.version)
            for batch in rows.batches():
                self._client.upsert(table, _entities(batch))
            if changed.gone:
                # The client quotes ids by Python's rules, which are not Milvus's.
                gone = json.dumps(changed.gone, ensure_ascii=False)
                self._client.delete(table, filter=f"{rows.id_column} in {gone}")
            self._say_bundle(table, bundle)

    def drop(self, table: str) -> None:
        if self._client.has_collection(table):
            self._client.drop_collection(table)

    def close(self) -> None:
        self._client.close()

    def _say_bundle(self, table: str, bundle: str) -> None:
        self._client.alter_collection_properties(table, properties={_BUNDLE: bundle})

    def _is_alias(self, alias: str) -> bool:
        return any(alias in self._client.list_aliases(table)["aliases"] for table in self.tables())


def _entities(rows: Rows) -> list[dict[str, Any]]:
    entities = []
    for payload, vector in zip(rows.payloads(), rows.vectors, strict=True):
        entities.append({**payload, VECTOR: vector.tolist()})
    return entities

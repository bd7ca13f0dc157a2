"""OpenSearch with its k-NN plugin: an index for each version, an alias for applications."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import polars as pl
from opensearchpy import NotFoundError, OpenSearch, OpenSearchException
from opensearchpy.helpers import bulk

from recsys.core.arrays import Float32Array
from recsys.core.artefacts import text_sha256
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
    version_of,
)

_BUNDLE = "recsys_bundle"
_SPACE = "innerproduct"
_SECONDS = 60
_LONGEST_KEYWORD = 8_191
"""Letters of a value that is indexed: Lucene's terms have at most 32,766 bytes."""


class OpenSearchStore:
    """Documents are numbered by a hash of the id, which is in them; the bundle whose content an index
    has is in the _meta of its mapping.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (OpenSearchException, OSError)

    def __init__(self, url: str, name: str) -> None:
        """Credentials are read from OPENSEARCH_USER and OPENSEARCH_PASSWORD."""
        self.name = name
        self.place = f"OpenSearch {url}"
        self._client = OpenSearch(url, http_auth=_credentials(), timeout=_SECONDS)
        self._client.info()

    def live(self) -> Live | None:
        table = self._aliased("items")
        version = version_of(table or "")
        if table is None or version is None:
            return None
        return Live(version, self._mapping(table)["_meta"][_BUNDLE])

    def tables(self) -> list[str]:
        names = self._client.indices.get(index=f"{self.name}_*")
        return sorted(name for name in names if is_of(self.name, name))

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        properties = {
            rows.id_column: {"type": "keyword"},
            VECTOR: _vector_field(rows.width, index),
            **_attribute_fields(rows),
        }
        if rows.kind == "items":
            properties[AVAILABLE] = {"type": "boolean"}
        bundle = str(version_of(table)).partition("_")[2]
        # Nothing is searched before all is written: making it findable meanwhile is wasted.
        settings: dict[str, Any] = {"index.refresh_interval": "-1"}
        if index == "hnsw":
            settings |= {"index.knn": True, "index.knn.algo_param.ef_search": ENTRIES_LOOKED_AT}
        mappings = {"_meta": {_BUNDLE: bundle}, "dynamic": "strict", "properties": properties}
        body = {"settings": settings, "mappings": mappings}
        self._client.indices.create(index=table, body=body)
        self._send(_documents(table, rows))
        # None is the server's default: new documents are found after a second.
        self._client.indices.put_settings(index=table, body={"index.refresh_interval": None})
        self._client.indices.refresh(index=table)

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        is_graph = "method" in self._mapping(table)["properties"][VECTOR]
        id_column = ID_COLUMNS["items"]
        lists = []
        for vector in queries:
            values = vector.tolist()
            query = _nearest(values, k) if is_graph else _exact(values)
            body = {"size": k, "query": query, "_source": [id_column]}
            hits = self._client.search(index=table, body=body)["hits"]["hits"]
            lists.append([hit["_source"][id_column] for hit in hits])
        return lists

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        actions: list[dict[str, Any]] = []
        for kind in kinds:
            alias = f"{self.name}_{kind}"
            before = self._aliased(kind)
            if before is not None:
                actions.append({"remove": {"index": before, "alias": alias}})
            table = table_name(self.name, kind, version)
            actions.append({"add": {"index": table, "alias": alias}})
        # The server does all of one request at once.
        self._client.indices.update_aliases(body={"actions": actions})

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        for changed in changes:
            table = table_name(self.name, changed.upserts.kind, live.version)
            self._send(_documents(table, changed.upserts))
            self._send(_deletions(table, changed.gone))
            self._client.indices.put_mapping(index=table, body={"_meta": {_BUNDLE: bundle}})
            self._client.indices.refresh(index=table)

    def drop(self, table: str) -> None:
        self._client.indices.delete(index=table)

    def close(self) -> None:
        self._client.close()

    def _send(self, actions: Iterator[dict[str, Any]]) -> None:
        """Raises BulkIndexError for the first batch with a document that is refused."""
        bulk(self._client, actions)

    def _aliased(self, kind: Kind) -> str | None:
        """The index that an alias names; None before the first export."""
        try:
            [table] = self._client.indices.get_alias(name=f"{self.name}_{kind}")
        except NotFoundError:
            return None
        return str(table)

    def _mapping(self, table: str) -> dict[str, Any]:
        mapping: dict[str, Any] = self._client.indices.get_mapping(index=table)[table]["mappings"]
        return mapping


def _credentials() -> tuple[str, str] | None:
    password = os.environ.get("OPENSEARCH_PASSWORD")
    if not password:
        return None
    return os.environ.get("OPENSEARCH_USER", "admin"), password


def _nearest(vector: list[float], k: int) -> dict[str, Any]:
    """What asks the graph; the filter is met while it is searched."""
    is_available = {"term": {AVAILABLE: True}}
    return {"knn": {VECTOR: {"vector": vector, "k": k, "filter": is_available}}}


def _exact(vector: list[float]) -> dict[str, Any]:
    """What scores every available item."""
    params = {"field": VECTOR, "query_value": vector, "space_type": _SPACE}
    script = {"source": "knn_score", "lang": "knn", "params": params}
    available = {"bool": {"filter": {"term": {AVAILABLE: True}}}}
    return {"script_score": {"query": available, "script": script}}


def _documents(table: str, rows: Rows) -> Iterator[dict[str, Any]]:
    for batch in rows.batches():
        for payload, vector in zip(batch.payloads(), batch.vectors, strict=True):
            number = _number(payload[rows.id_column])
            source = {**payload, VECTOR: vector.tolist()}
            yield {"_op_type": "index", "_index": table, "_id": number, "_source": source}


def _deletions(table: str, gone: Sequence[str]) -> Iterator[dict[str, Any]]:
    for external in gone:
        yield {"_op_type": "delete", "_index": table, "_id": _number(external)}


def _number(external: str) -> str:
    """OpenSearch takes neither empty numbers nor those of more than 512 bytes."""
    return text_sha256(external)


def _vector_field(width: int, index: IndexKind) -> dict[str, Any]:
    field: dict[str, Any] = {"type": "knn_vector", "dimension": width}
    if index == "hnsw":
        field["method"] = {
            "name": "hnsw",
            "engine": "faiss",
            "space_type": _SPACE,
            "parameters": {"m": CONNECTIONS, "ef_construction": BUILD_ENTRIES},
        }
    return field


def _attribute_fields(rows: Rows) -> dict[str, Any]:
    """Titles can be searched by their words, other columns asked by value or range."""
    fields = {}
    for column, kind in rows.attributes.schema.items():
        fields[column] = {"type": "text"} if column == TITLE else _field(kind)
    return fields


def _field(kind: pl.DataType) -> dict[str, Any]:
    if kind == pl.Boolean:
        return {"type": "boolean"}
    if kind.is_integer():
        return {"type": "long"}
    if kind.is_numeric():
        return {"type": "double"}
    return {"type": "keyword", "ignore_above": _LONGEST_KEYWORD}

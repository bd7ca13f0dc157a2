"""Qdrant: a collection for each version, an alias for applications."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid5

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from recsys.core.arrays import Float32Array
from recsys.core.tables import AVAILABLE
from recsys.vector_stores.rows import ID_COLUMNS, Changes, Kind, Rows
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

_NAMESPACE = UUID("6f1d3c1e-52a5-4a39-9d0f-0b7e3a2f6c11")
_BUNDLE = "recsys_bundle"


class Qdrant:
    """Points are numbered by a UUID made of the id, which is in the payload; the bundle whose content
    a collection has is in its metadata.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (ApiException, OSError, ValueError)

    def __init__(self, url: str, name: str) -> None:
        """url: of a server, whose key is in QDRANT_API_KEY, or a folder for Qdrant's local mode."""
        self.name = name
        self.place = f"Qdrant {url}"
        self._is_server = url.startswith(("http://", "https://"))
        if self._is_server:
            self._client = QdrantClient(
                url=url, api_key=os.environ.get("QDRANT_API_KEY"), check_compatibility=False
            )
        else:
            self._client = QdrantClient(path=url)

    def live(self) -> Live | None:
        collection = self._aliased().get(f"{self.name}_items")
        version = version_of(collection or "")
        if collection is None or version is None:
            return None
        metadata = self._client.get_collection(collection).config.metadata or {}
        return Live(version, metadata[_BUNDLE])

    def tables(self) -> list[str]:
        collections = self._client.get_collections().collections
        names = [collection.name for collection in collections]
        return sorted(name for name in names if is_of(self.name, name))

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        if self._client.collection_exists(table):
            self._client.delete_collection(table)
        # m = 0 keeps Qdrant from building a graph: every search is exact.
        connections = CONNECTIONS if index == "hnsw" else 0
        self._client.create_collection(
            table,
            vectors_config=models.VectorParams(size=rows.width, distance=models.Distance.DOT),
            hnsw_config=models.HnswConfigDiff(m=connections, ef_construct=BUILD_ENTRIES),
            metadata={_BUNDLE: str(version_of(table)).partition("_")[2]},
        )
        if self._is_server:
            # Local mode has no indexes of payloads.
            self._client.create_payload_index(table, AVAILABLE, models.PayloadSchemaType.BOOL)
        self._upsert(table, rows)

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        # Local mode is exact, and warns of settings.
        ef = max(ENTRIES_LOOKED_AT, k)
        settings = models.SearchParams(hnsw_ef=ef) if self._is_server else None
        is_available = models.FieldCondition(key=AVAILABLE, match=models.MatchValue(value=True))
        lists = []
        for query in queries:
            response = self._client.query_points(
                table,
                query=query.tolist(),
                query_filter=models.Filter(must=[is_available]),
                search_params=settings,
                limit=k,
                with_payload=[ID_COLUMNS["items"]],
            )
            lists.append([point.payload[ID_COLUMNS["items"]] for point in response.points])
        return lists

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        aliased = self._aliased()
        operations: list[Any] = []
        for kind in kinds:
            alias = f"{self.name}_{kind}"
            if alias in aliased:
                delete = models.DeleteAlias(alias_name=alias)
                operations.append(models.DeleteAliasOperation(delete_alias=delete))
            table = table_name(self.name, kind, version)
            create = models.CreateAlias(collection_name=table, alias_name=alias)
            operations.append(models.CreateAliasOperation(create_alias=create))
        # A server does all of one request at once.
        self._client.update_collection_aliases(operations)

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        for changed in changes:
            table = table_name(self.name, changed.upserts.kind, live.version)
            self._upsert(table, changed.upserts)
            gone = [_point_id(external) for external in changed.gone]
            if gone:
                self._client.delete(table, points_selector=models.PointIdsList(points=gone))
            self._client.update_collection(table, metadata={_BUNDLE: bundle})

    def drop(self, table: str) -> None:
        self._client.delete_collection(table)

    def close(self) -> None:
        self._client.close()

    def _upsert(self, table: str, rows: Rows) -> None:
        for batch in rows.batches():
            points = []
            for payload, vector in zip(batch.payloads(), batch.vectors, strict=True):
                number = _point_id(payload[rows.id_column])
                points.append(
                    models.PointStruct(id=number, vector=vector.tolist(), payload=payload)
                )
            self._client.upsert(table, points, wait=True)

    def _aliased(self) -> dict[str, str]:
        """The collection of each alias."""
        aliases = self._client.get_aliases().aliases
        return {alias.alias_name: alias.collection_name for alias in aliases}


def _point_id(external: str) -> str:
    return str(uuid5(_NAMESPACE, external))

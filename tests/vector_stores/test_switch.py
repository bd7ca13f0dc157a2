"""The switch under load: an application asks by the name alone, while one bundle follows another."""

import threading
from typing import Any, ClassVar

import numpy as np
import pytest

from patience import eventually
from recsys.bundle.export import vectors
from recsys.vector_stores.publish import publish

K = 6


class PgApplication:
    def __init__(self, url: str, name: str) -> None:
        import psycopg

        self.connection = psycopg.connect(url, autocommit=True)
        self.question = f"SELECT item_id FROM {name}_items WHERE available ORDER BY vector <#> %s::vector LIMIT {K}"

    def ask(self, vector: Any) -> list[str]:
        text = "[" + ",".join(map(str, vector)) + "]"
        return [row[0] for row in self.connection.execute(self.question, [text]).fetchall()]

    def close(self) -> None:
        self.connection.close()


class RedisApplication:
    def __init__(self, url: str, name: str) -> None:
        import redis

        self.client = redis.Redis.from_url(url, protocol=2)
        self.index = f"{name}_items"

    def ask(self, vector: Any) -> list[str]:
        answer = self.client.execute_command(
            "FT.SEARCH",
            self.index,
            f"(@available:{{true}})=>[KNN {K} @vector $v AS distance]",
            *("PARAMS", 2, "v", vector.tobytes(), "SORTBY", "distance", "LIMIT", 0, K),
            *("RETURN", 1, "item_id", "DIALECT", 2),
        )
        return [fields[1].decode() for fields in answer[2::2]]

    def close(self) -> None:
        self.client.close()


class LanceApplication:
    def __init__(self, url: str, name: str) -> None:
        import lancedb

        self.database, self.pointer = lancedb.connect(url), f"{name}_live"

    def ask(self, vector: Any) -> list[str]:
        rows = self.database.open_table(self.pointer).to_arrow().to_pylist()
        [table] = [row["table"] for row in rows if row["kind"] == "items"]
        search = self.database.open_table(table).search(vector, vector_column_name="vector")
        found = search.distance_type("dot").where("available", prefilter=True).limit(K)
        return found.select(["item_id", "_distance"]).to_arrow()["item_id"].to_pylist()

    def close(self) -> None:
        """Nothing is held open."""


class MilvusApplication:
    def __init__(self, url: str, name: str) -> None:
        from pymilvus import MilvusClient

        self.client, self.alias = MilvusClient(url), f"{name}_items"

    def ask(self, vector: Any) -> list[str]:
        [hits] = self.client.search(
            self.alias,
            data=[vector.tolist()],
            filter="available == true",
            limit=K,
            output_fields=["item_id"],
        )
        return [hit["entity"]["item_id"] for hit in hits]

    def close(self) -> None:
        """The client of the export holds the file, too."""


class OpenSearchApplication:
    def __init__(self, url: str, name: str) -> None:
        import opensearchpy

        self.client, self.alias = opensearchpy.OpenSearch(url), f"{name}_items"

    def ask(self, vector: Any) -> list[str]:
        nearest = {"vector": vector.tolist(), "k": K, "filter": {"term": {"available": True}}}
        body = {"size": K, "query": {"knn": {"vector": nearest}}, "_source": ["item_id"]}
        hits = self.client.search(index=self.alias, body=body)["hits"]["hits"]
        return [hit["_source"]["item_id"] for hit in hits]

    def close(self) -> None:
        self.client.close()


APPLICATIONS: dict[str, Any] = {
    "pgvector": PgApplication,
    "redis": RedisApplication,
    "lancedb": LanceApplication,
    "milvus": MilvusApplication,
    "opensearch": OpenSearchApplication,
}


class Reader(threading.Thread):
    """Asks until it is told to end; keeps every answer, and what was raised."""

    patience: ClassVar[int] = 900

    def __init__(self, application: Any, vector: Any) -> None:
        super().__init__()
        self.application, self.vector = application, vector
        self.answers: list[list[str]] = []
        self.failure: Exception | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.answers.append(self.application.ask(self.vector))
        except Exception as error:
            self.failure = error


def exact_list(bundle, vector):
    _, items = vectors(bundle)
    order = [row for row in np.argsort(-(items @ vector), kind="stable") if bundle.available[row]]
    return [bundle.items.ids[int(row)] for row in order[:K]]


def test_no_question_fails_and_every_answer_is_of_one_version(kind, url, store, name, world_bundle):
    if kind not in APPLICATIONS:
        pytest.skip("local mode serves one client at a time")
    bundles = [world_bundle(), world_bundle(1)]
    query = np.asarray(vectors(bundles[0])[0][4])
    lists = [exact_list(bundle, query) for bundle in bundles]
    assert lists[0] != lists[1]
    publish(bundles[0], store, name, queries=5)
    application = APPLICATIONS[kind](url, name)
    reader = Reader(application, query)
    reader.start()
    try:
        for turn in range(1, 5):
            wanted, answered = lists[turn % 2], len(reader.answers)
            publish(bundles[turn % 2], store, name, queries=5)
            eventually(
                lambda at=answered, wanted=wanted: (
                    reader.failure is not None or wanted in reader.answers[at:]
                ),
                "the new version never answers",
            )
    finally:
        reader.done.set()
        reader.join()
        application.close()
    assert reader.failure is None
    assert all(answer in lists for answer in reader.answers)
    assert all(wanted in reader.answers for wanted in lists)

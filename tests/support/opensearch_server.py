"""A small OpenSearch on loopback: the endpoints that `recsys.vector_stores.opensearch` uses, by the
request and answer forms of OpenSearch's documentation. What it does not know it refuses, as a server
refuses what it cannot parse; documents are found after a refresh alone; k-NN is exact, by numpy.
"""

import fnmatch
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,254}")
_SETTINGS = {"index.knn", "index.knn.algo_param.ef_search", "index.refresh_interval"}
_TYPES = {"keyword", "text", "boolean", "long", "double", "knn_vector"}
_METHOD = {"name": "hnsw", "engine": "faiss", "space_type": "innerproduct"}


class Refused(Exception):
    """An answer of another status than 200."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.kind = status, kind


def _illegal(reason: str) -> Refused:
    return Refused(400, "illegal_argument_exception", reason)


def _unparsed(reason: str) -> Refused:
    return Refused(400, "parsing_exception", reason)


def _missing(index: str) -> Refused:
    return Refused(404, "index_not_found_exception", f"no such index [{index}]")


def _require_keys(body: dict[str, Any], *known: str) -> None:
    unknown = set(body) - set(known)
    if unknown:
        raise _unparsed(f"unknown key [{min(unknown)}]")


@dataclass
class Index:
    """documents: as they were sent. searchable: as they were at the last refresh."""

    settings: dict[str, Any]
    mappings: dict[str, Any]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    searchable: dict[str, dict[str, Any]] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)

    @property
    def properties(self) -> dict[str, Any]:
        return self.mappings["properties"]

    def refresh(self) -> None:
        self.searchable = dict(self.documents)


@dataclass
class Cluster:
    """All indexes by name. A request is answered while no other changes them."""

    indexes: dict[str, Index] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: bytes) -> Any:
        parts = [unquote(part) for part in path.strip("/").split("/") if part]
        for (verb, pattern), action in ROUTES.items():
            names = pattern.split("/") if pattern else []
            if verb == method and len(names) == len(parts):
                pairs = list(zip(names, parts, strict=True))
                if all(name == "*" or name == part for name, part in pairs):
                    given = [part for name, part in pairs if name == "*"]
                    with self.lock:
                        return action(self, *given, body)
        raise _illegal(f"no handler found for uri [{path}] and method [{method}]")

    def named(self, name: str) -> Index:
        """By its name, or by an alias that names it alone."""
        if name in self.indexes:
            return self.indexes[name]
        aliased = [index for index in self.indexes.values() if name in index.aliases]
        if not aliased:
            raise _missing(name)
        [index] = aliased
        return index

    def info(self, body: bytes) -> Any:
        return {"version": {"distribution": "opensearch", "number": "2.19.0"}}

    def create(self, name: str, body: bytes) -> Any:
        document = json.loads(body)
        _require_keys(document, "settings", "mappings")
        if not _INDEX_NAME.fullmatch(name):
            raise Refused(400, "invalid_index_name_exception", f"Invalid index name [{name}]")
        if name in self.indexes or any(name in one.aliases for one in self.indexes.values()):
            raise Refused(400, "resource_already_exists_exception", f"[{name}] already exists")
        settings, mappings = document["settings"], document["mappings"]
        _require_keys(settings, *_SETTINGS)
        _require_keys(mappings, "_meta", "dynamic", "properties")
        for field_name, facts in mappings["properties"].items():
            _require_field(field_name, facts, settings)
        self.indexes[name] = Index(settings, mappings)
        return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def get(self, pattern: str, body: bytes) -> Any:
        found = {}
        for name, index in self.indexes.items():
            if any(fnmatch.fnmatchcase(known, pattern) for known in (name, *index.aliases)):
                aliases = {alias: {} for alias in index.aliases}
                found[name] = {"aliases": aliases, "mappings": index.mappings, "settings": {}}
        if not found and "*" not in pattern:
            raise _missing(pattern)
        return found

    def delete(self, name: str, body: bytes) -> Any:
        if name not in self.indexes:
            raise _missing(name)
        del self.indexes[name]
        return {"acknowledged": True}

    def refresh(self, name: str, body: bytes) -> Any:
        self.named(name).refresh()
        return {"_shards": {"total": 1, "successful": 1, "failed": 0}}

    def put_settings(self, name: str, body: bytes) -> Any:
        settings = json.loads(body)
        _require_keys(settings, *_SETTINGS)
        if "index.knn" in settings:
            raise _illegal("Can't update non dynamic settings [[index.knn]] for open indices")
        self.named(name).settings |= settings
        return {"acknowledged": True}

    def get_mapping(self, name: str, body: bytes) -> Any:
        return {name: {"mappings": self.named(name).mappings}}

    def put_mapping(self, name: str, body: bytes) -> Any:
        document = json.loads(body)
        _require_keys(document, "_meta")
        self.named(name).mappings |= document
        return {"acknowledged": True}

    def get_alias(self, alias: str, body: bytes) -> Any:
        found = {}
        for name, index in self.indexes.items():
            if alias in index.aliases:
                found[name] = {"aliases": {alias: {}}}
        if not found:
            raise Refused(404, "aliases_not_found_exception", f"alias [{alias}] missing")
        return found

    def update_aliases(self, body: bytes) -> Any:
        changed = {name: set(index.aliases) for name, index in self.indexes.items()}
        document = json.loads(body)
        _require_keys(document, "actions")
        for action in document["actions"]:
            [(verb, facts)] = action.items()
            _require_keys(facts, "index", "alias")
            index, alias = facts["index"], facts["alias"]
            if index not in changed:
                raise _missing(index)
            if alias in self.indexes:
                raise Refused(400, "invalid_alias_name_exception", f"an index is called [{alias}]")
            if verb == "add":
                changed[index].add(alias)
            elif verb == "remove" and alias in changed[index]:
                changed[index].remove(alias)
            else:
                raise Refused(404, "aliases_not_found_exception", f"alias [{alias}] missing")
        for name, aliases in changed.items():
            self.indexes[name].aliases = aliases
        return {"acknowledged": True}

    def bulk(self, body: bytes) -> Any:
        if not body.endswith(b"\n"):
            raise _illegal("The bulk request must be terminated by a newline [\\n]")
        lines = iter(body.decode().splitlines())
        items = []
        for line in lines:
            [(verb, facts)] = json.loads(line).items()
            source = json.loads(next(lines)) if verb == "index" else None
            items.append({verb: self._bulk_item(verb, facts, source)})
        has_errors = any("error" in result for item in items for result in item.values())
        return {"took": 1, "errors": has_errors, "items": items}

    def _bulk_item(self, verb: str, facts: dict[str, Any], source: Any) -> dict[str, Any]:
        _require_keys(facts, "_index", "_id")
        index, number = self.indexes[facts["_index"]], facts["_id"]
        known = {"_index": facts["_index"], "_id": number}
        if verb == "delete":
            is_there = index.documents.pop(number, None) is not None
            result = "deleted" if is_there else "not_found"
            return {**known, "status": 200 if is_there else 404, "result": result}
        try:
            _require_document(number, source, index)
        except Refused as refused:
            error = {"type": refused.kind, "reason": str(refused)}
            return {**known, "status": refused.status, "error": error}
        index.documents[number] = source
        return {**known, "status": 201, "result": "created"}

    def search(self, name: str, body: bytes) -> Any:
        document = json.loads(body)
        _require_keys(document, "size", "query", "_source")
        index = self.named(name)
        scored = _scored(document["query"], index)[: document["size"]]
        hits = []
        for score, number in scored:
            source = index.searchable[number]
            kept = {key: source[key] for key in document["_source"] if key in source}
            hits.append({"_index": name, "_id": number, "_score": score, "_source": kept})
        return {"timed_out": False, "hits": {"max_score": None, "hits": hits}}


def _require_field(name: str, facts: dict[str, Any], settings: dict[str, Any]) -> None:
    if facts.get("type") not in _TYPES:
        raise Refused(400, "mapper_parsing_exception", f"no handler for type of [{name}]")
    if facts["type"] != "knn_vector":
        _require_keys(facts, "type", "ignore_above")
        return
    _require_keys(facts, "type", "dimension", "method")
    if not 1 <= facts["dimension"] <= 16_000:
        raise _illegal("Dimension value must be between 1 and 16000")
    method = facts.get("method")
    if method is None:
        return
    if not settings.get("index.knn"):
        raise _illegal("Cannot set modelId or method parameters when index.knn setting is false")
    _require_keys(method, *_METHOD, "parameters")
    _require_keys(method["parameters"], "m", "ef_construction", "ef_search")
    if {key: method[key] for key in _METHOD} != _METHOD:
        raise _illegal("this method is not known here")


def _require_document(number: str, source: dict[str, Any], index: Index) -> None:
    if not 0 < len(number.encode()) <= 512:
        raise _illegal("id is empty, or too long")
    checks: dict[str, Callable[[Any], bool]] = {
        "keyword": lambda value: isinstance(value, str | int | float),
        "text": lambda value: isinstance(value, str),
        "boolean": lambda value: isinstance(value, bool),
        "long": lambda value: isinstance(value, int),
        "double": lambda value: isinstance(value, int | float),
    }
    for name, value in source.items():
        facts = index.properties.get(name)
        if facts is None:
            raise Refused(400, "strict_dynamic_mapping_exception", f"[{name}] is not allowed")
        if facts["type"] == "knn_vector":
            if len(value) != facts["dimension"]:
                raise _illegal(f"Vector dimension mismatch. Expected: {facts['dimension']}")
            continue
        values = value if isinstance(value, list) else [value]
        if not all(checks[facts["type"]](one) for one in values):
            raise Refused(400, "mapper_parsing_exception", f"failed to parse field [{name}]")


def _scored(query: dict[str, Any], index: Index) -> list[tuple[float, str]]:
    """Best first, as a query of one of two kinds scores them."""
    [(kind, facts)] = query.items()
    if kind == "knn":
        [(name, asked)] = facts.items()
        _require_keys(asked, "vector", "k", "filter")
        if "method" not in index.properties[name]:
            raise _illegal(f"Field '{name}' is not built for ANN search.")
        if not 1 <= asked["k"] <= 10_000:
            raise _illegal("[knn] requires k to be in the range (0, 10000]")
        numbers = _filtered(asked["filter"], index)
        return _by_inner_product(index, numbers, name, asked["vector"])[: asked["k"]]
    if kind != "script_score":
        raise _unparsed(f"unknown query [{kind}]")
    _require_keys(facts, "query", "script")
    script = facts["script"]
    if (script["source"], script["lang"]) != ("knn_score", "knn"):
        raise _illegal("this script is not known here")
    params = script["params"]
    _require_keys(params, "field", "query_value", "space_type")
    if params["space_type"] != "innerproduct":
        raise _illegal(f"Invalid space type [{params['space_type']}]")
    _require_keys(facts["query"], "bool")
    _require_keys(facts["query"]["bool"], "filter")
    numbers = _filtered(facts["query"]["bool"]["filter"], index)
    return _by_inner_product(index, numbers, params["field"], params["query_value"])


def _filtered(query: dict[str, Any], index: Index) -> list[str]:
    [(kind, facts)] = query.items()
    if kind != "term":
        raise _unparsed(f"unknown query [{kind}]")
    [(name, wanted)] = facts.items()
    numbers = []
    for number, source in index.searchable.items():
        value = source.get(name)
        if wanted in (value if isinstance(value, list) else [value]):
            numbers.append(number)
    return numbers


def _by_inner_product(
    index: Index, numbers: list[str], name: str, vector: list[float]
) -> list[tuple[float, str]]:
    """Scores as the k-NN plugin makes them: never negative, in the order of the products."""
    if len(vector) != index.properties[name]["dimension"]:
        raise _illegal("Query vector has invalid dimension")
    if not numbers:
        return []
    vectors = np.array([index.searchable[number][name] for number in numbers], np.float32)
    products = vectors @ np.array(vector, np.float32)
    scores = np.where(products >= 0, products + 1, 1 / (1 - np.minimum(products, 0)))
    order = np.argsort(-products, kind="stable")
    return [(float(scores[row]), numbers[row]) for row in order]


ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", ""): Cluster.info,
    ("GET", "_alias/*"): Cluster.get_alias,
    ("POST", "_aliases"): Cluster.update_aliases,
    ("POST", "_bulk"): Cluster.bulk,
    ("POST", "*/_refresh"): Cluster.refresh,
    ("PUT", "*/_settings"): Cluster.put_settings,
    ("GET", "*/_mapping"): Cluster.get_mapping,
    ("PUT", "*/_mapping"): Cluster.put_mapping,
    ("POST", "*/_search"): Cluster.search,
    ("PUT", "*"): Cluster.create,
    ("GET", "*"): Cluster.get,
    ("DELETE", "*"): Cluster.delete,
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, answer = 200, self.cluster.answer(self.command, urlsplit(self.path).path, body)
        except Refused as refused:
            error = {"type": refused.kind, "reason": str(refused)}
            status = refused.status
            answer = {"error": {"root_cause": [error], **error}, "status": status}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is told."""


@contextmanager
def opensearch_server() -> Iterator[tuple[str, Cluster]]:
    """The URL of a server that has no index yet, and what it holds."""
    cluster = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

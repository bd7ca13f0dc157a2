"""The stores by name; a client is imported when its store is opened."""

from importlib import import_module
from typing import NamedTuple

from recsys.core.errors import MachineError, UsageError, nearest
from recsys.core.urls import require_no_password
from recsys.vector_stores.store import VectorStore, require_name


class _Known(NamedTuple):
    """Where the class of a store is, and where its credentials come from."""

    module: str
    class_name: str
    secret: str


STORES = {
    "qdrant": _Known("qdrant", "Qdrant", "$QDRANT_API_KEY"),
    "pgvector": _Known("pgvector", "PgVector", "$PGPASSWORD or ~/.pgpass"),
    "lancedb": _Known("lance", "Lance", "the variables of your object storage"),
    "redis": _Known("redis_search", "RedisSearch", "$REDIS_PASSWORD"),
    "milvus": _Known("milvus", "Milvus", "$MILVUS_TOKEN"),
    "opensearch": _Known("opensearch", "OpenSearchStore", "$OPENSEARCH_PASSWORD"),
}


def open_store(kind: str, url: str, name: str) -> VectorStore:
    """Connect to a store.

    Args:
        kind: a key of STORES.
        url: of the server, or the path of an embedded store.
        name: that applications ask for, "recsys" for recsys_items.

    Raises:
        UsageError: another kind or name, or a URL with a password in it.
        MachineError: the client is not installed, or the store is not there.
    """
    if kind not in STORES:
        known = [*STORES, "onnx"]
        hint = nearest(kind, known) or f"One of {', '.join(known)}"
        raise UsageError(f"--to {kind!r}", hint)
    require_name(name)
    _, class_name, secret = STORES[kind]
    require_no_password(url, "the URL", secret)
    try:
        module = import_module(f"recsys.vector_stores.{STORES[kind].module}")
    except ImportError as error:
        raise MachineError(
            f"the client of {kind} is not installed ({error})", f'pip install "recsys[{kind}]"'
        ) from None
    store_class = getattr(module, class_name)
    try:
        store: VectorStore = store_class(url, name)
    except store_class.errors as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise MachineError(
            f"{kind} {url!r} does not answer: {lines[0]}", f"Look at the URL, and at {secret}"
        ) from None
    return store

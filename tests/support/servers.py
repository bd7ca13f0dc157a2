"""A service on loopback, as an application meets it, and a plain client that shows status and
document.
"""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from patience import PATIENCE_SECONDS
from serving.app import make_app
from serving.server import listening
from serving.settings import Settings


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The address of a service in a thread of this process; it ends with the block.

    A busy machine is no fault: answers have a limit only where the test sets one of its own.
    """
    if settings.answer_seconds == Settings.answer_seconds:
        settings = replace(settings, answer_seconds=PATIENCE_SECONDS)
    server = uvicorn.Server(
        uvicorn.Config(make_app(settings), **{**listening(settings), "port": 0})
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def ask(
    url: str, body: Any = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[int, Any]:
    """Status and document; a body makes it a POST. Bytes are sent as they are."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        url,
        data=data,
        headers={"Content-Type": "application/json"} | (headers or {}),
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, _read(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _read(error)


def _read(answer: Any) -> Any:
    text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers.get("content-type", "") else text


def is_ready(address: str) -> bool:
    """Whether a service answers there."""
    try:
        urllib.request.urlopen(f"{address}/readyz", timeout=30).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """Of loopback; nothing listens there now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def connected(address: str) -> socket.socket:
    """A connection on which nothing was sent yet."""
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_SECONDS)


def head(path: str, length: int) -> bytes:
    """The head of a POST, before its body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def unnamed(document: Any) -> Any:
    """A document without the ids of its lists, which differ each time."""
    if isinstance(document, dict):
        named = document.items()
        return {name: unnamed(value) for name, value in named if not _is_id_of_list(name, value)}
    return [unnamed(value) for value in document] if isinstance(document, list) else document


def _is_id_of_list(name: str, value: Any) -> bool:
    return name == "answer" and isinstance(value, str)

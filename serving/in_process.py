"""Requests to the application without a socket: everything that guards it over HTTP guards it here."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
from starlette.types import ASGIApp, Message

_JSON = (b"content-type", b"application/json")


class Reply(NamedTuple):
    """What a request was answered. status: of HTTP. document: the JSON of its body."""

    status: int
    document: Any


class InProcess:
    """A client of an application in the same process, within which the application is started.

    token: of the key that is sent; none when empty.
    """

    def __init__(self, app: ASGIApp, token: str = "") -> None:
        self._app = app
        self._headers = [(b"host", b"127.0.0.1"), (b"accept", b"application/json"), _JSON]
        if token:
            self._headers.append((b"authorization", f"Bearer {token}".encode()))
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._told: asyncio.Queue[Message] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._life: asyncio.Task[None] = asyncio.create_task(
            self._app(scope, self._events.get, self._told.put)  # type: ignore[arg-type]
        )
        await self._events.put({"type": "lifespan.startup"})
        await self._told.get()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        await self._life

    async def get(self, path: str) -> Reply:
        """Ask for a path."""
        return await self._ask("GET", path, b"")

    async def post(self, path: str, document: Mapping[str, Any]) -> Reply:
        """Send a document to a path."""
        return await self._ask("POST", path, orjson.dumps(document))

    async def _ask(self, method: str, path: str, body: bytes) -> Reply:
        headers = [*self._headers, (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
            "state": {},
        }
        unread = [{"type": "http.request", "body": body, "more_body": False}]
        stays = asyncio.Event()  # a client that waits for its answer does not leave
        status = 500
        parts = []

        async def receive() -> Message:
            if unread:
                return unread.pop()
            await stays.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        text = b"".join(parts)
        return Reply(status, orjson.loads(text) if text else None)

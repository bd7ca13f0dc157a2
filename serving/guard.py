"""Before and after every request: who may ask, how much, how long; headers, figures and problem
documents.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from fastapi import Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.keys import Key, Keys
from serving.metrics import Metrics
from serving.problems import Refused, of_error
from serving.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
OPEN = ("/", "/healthz", "/readyz", "/openapi.json")
PAGE = "/page/"

_LOG = logging.getLogger("recsys.serving")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WITH_BODY = ("POST", "PUT", "PATCH")


@dataclass
class Guard:
    """ASGI middleware around the whole application. keys: None where nobody is asked for one; then
    only loopback names are served, so that no page on the web can reach the service through a name
    of its own.
    """

    app: ASGIApp
    settings: Settings
    keys: Keys | None
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        started = time.perf_counter()
        try:
            await self._answer(scope, receive, exchange)
        except TimeoutError:
            await exchange.refuse(
                Refused(
                    503,
                    f"no answer within {self.settings.answer_seconds:g} seconds",
                    "Ask for less",
                )
            )
        except Refused as refused:
            await exchange.refuse(refused)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            taken = time.perf_counter() - started
            self.metrics.seconds.labels(route, scope["method"], exchange.status).observe(taken)

    async def _answer(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        headers = Headers(scope=scope)
        scope["key"] = self._admit(scope, headers)
        if scope["method"] in _WITH_BODY:
            receive = await self._whole_body(headers, receive)
        async with asyncio.timeout(self.settings.answer_seconds):
            await self.app(scope, receive, exchange.send)

    def _admit(self, scope: Scope, headers: Headers) -> str:
        """Name of the key. Raises Refused: 401 without one, 403 for lack of a scope, 429 when it
        asks too often.
        """
        if self.keys is None:
            _require_loopback(headers)
            self._require_own_page(headers)
            return "loopback"
        path = scope["path"]
        if path in OPEN or path.startswith(PAGE):
            return "none"
        key = self.keys.find(_token(headers))
        if key is None:
            challenge = {"WWW-Authenticate": "Bearer"}
            raise Refused(
                401, "no known key", "Send the header: Authorization: Bearer KEY", challenge
            )
        _require_scope(key, path)
        if wait := self.keys.wait(key):
            after = {"Retry-After": str(int(wait) + 1)}
            raise Refused(
                429,
                f"key {key.name!r} may ask {key.rate:g} times a second",
                "Ask less often",
                after,
            )
        return key.name

    def _require_own_page(self, headers: Headers) -> None:
        """Raises Refused (403): where nobody needs a key, a page elsewhere could have its reader's
        browser ask.
        """
        origin = headers.get("origin")
        if (
            origin is not None
            and origin not in self.settings.cors
            and origin.partition("://")[2] != headers["host"]
        ):
            raise Refused(403, f"pages of {origin!r} may not ask", "Name the origin with --cors")

    async def _whole_body(self, headers: Headers, receive: Receive) -> Receive:
        """Read the body before anything is computed. Raises Refused: 408 when it is slow, 413
        large, 415 not JSON.
        """
        if not _has_body(headers):
            return receive
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(
                415, f"content type {headers.get('content-type')!r}", "Send application/json"
            )
        if int(headers.get("content-length") or 0) > self.settings.body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.settings.body_seconds):
                body = await self._read(receive)
        except TimeoutError:
            raise Refused(
                408,
                f"the body took over {self.settings.body_seconds:g} seconds",
                "Send it at once",
                _CLOSE,
            ) from None
        return _replay(body, receive)

    async def _read(self, receive: Receive) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the client left before its request was whole")
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > self.settings.body_bytes:
                raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> Refused:
        return Refused(
            413,
            f"the body is over {self.settings.body_bytes:,} bytes",
            "Send several requests",
            _CLOSE,
        )


_CLOSE = {"Connection": "close"}


class _Exchange:
    """The answer's way out: security headers are added, its status is noted, a refusal is sent
    once.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send = scope, send
        self.status = 500
        self._began = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._began, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers().items():
                headers.setdefault(name, value)
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        if self._began:
            _LOG.warning("%s %s cut off: %s", self.scope["method"], self.scope["path"], refused)
            return
        response: Response = of_error(Request(self.scope), refused)
        await response(self.scope, _nothing, self.send)

    def _headers(self) -> dict[str, str]:
        path = self.scope["path"]
        if path == "/" or path.startswith(PAGE):
            return {**_HEADERS, "content-security-policy": _PAGE_POLICY}
        return _HEADERS


def _require_loopback(headers: Headers) -> None:
    """Raises Refused (421): a page elsewhere may point its own name at this machine, but not choose
    the host header.
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.strip("[]").lower() not in LOOPBACK:
        raise Refused(
            421, f"host {host!r} is not loopback", "Ask 127.0.0.1, or start the service with --keys"
        )


def _require_scope(key: Key, path: str) -> None:
    needed = (
        "admin" if path.startswith("/v1/admin/") else "events" if path == "/v1/events" else "read"
    )
    if needed not in key.scopes:
        raise Refused(
            403,
            f"key {key.name!r} has no scope {needed!r}",
            f"Use a key with {needed!r} among its scopes",
        )


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _token(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _nothing() -> Message:
    return {"type": "http.disconnect"}

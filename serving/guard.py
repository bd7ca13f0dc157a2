"""Before and after every request: who may ask, how much, how long; headers, figures and problem
documents.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import record, route_of
from serving.admission import PAGE, Admission
from serving.logs import LOG, REQUEST_ID
from serving.metrics import Metrics
from serving.page_policy import page_policy
from serving.problems import Refused, of_error
from serving.settings import Settings
from serving.spans import Spans

BODIES_BYTES = 64 << 20
"""Of all bodies that are being received."""

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_SMALL_BODY_BYTES = 1 << 16
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CLOSE = {"Connection": "close"}
_WITH_BODY = ("POST", "PUT", "PATCH")


@dataclass
class Guard:
    """ASGI middleware around the whole application."""

    app: ASGIApp
    settings: Settings
    admission: Admission
    metrics: Metrics
    spans: Spans
    _body_bytes: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server sends no body after the headers
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        token = REQUEST_ID.set(request_id)
        exchange = _Exchange(scope, send, request_id, self.settings.images)
        started = time.perf_counter()
        self.metrics.under_way += 1
        span = self.spans.request(scope, headers)
        try:
            await self._answer(scope, receive, headers, exchange)
        except TimeoutError:
            await exchange.refuse(
                Refused(
                    503,
                    f"no answer within {self.settings.answer_seconds:g} seconds",
                    "Ask for less",
                    code="no_answer_in_time",
                )
            )
        except Refused as refused:
            await exchange.refuse(refused)
        finally:
            self.metrics.under_way -= 1
            seconds = time.perf_counter() - started
            record(self.metrics, scope, headers, exchange.status, seconds, span.trace_id)
            span.end(route_of(scope), exchange.status, seconds)
            REQUEST_ID.reset(token)

    async def _answer(
        self, scope: Scope, receive: Receive, headers: Headers, exchange: "_Exchange"
    ) -> None:
        scope["key"] = self.admission.admit(scope, headers)
        if scope["method"] in _WITH_BODY:
            receive = await self._whole_body(headers, receive)
        async with asyncio.timeout(self.settings.answer_seconds):
            await self.app(scope, receive, exchange.send)

    async def _whole_body(self, headers: Headers, receive: Receive) -> Receive:
        """Read the body before anything is computed. Raises Refused: 408 when it is slow, 413
        large, 415 not JSON.
        """
        if not _has_body(headers):
            return receive
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(
                415,
                f"content type {headers.get('content-type')!r}",
                "Send application/json",
                code="not_json",
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
                code="body_too_slow",
            ) from None
        return _replay(body, receive)

    async def _read(self, receive: Receive) -> bytes:
        """The whole body. What is held of all bodies is bounded; small ones are always let in, so that
        nobody can keep the others out by large ones.
        """
        chunks, size, more = [], 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(
                        400, "the client left before its request was whole", code="client_left"
                    )
                chunk = message.get("body", b"")
                chunks.append(chunk)
                size, more = size + len(chunk), message.get("more_body", False)
                self._body_bytes += len(chunk)
                if size > self.settings.body_bytes:
                    raise self._too_large()
                if size > _SMALL_BODY_BYTES and self._body_bytes > BODIES_BYTES:
                    busy = {"Retry-After": "1", **_CLOSE}
                    raise Refused(
                        503, "large requests are under way", "Try again", busy, code="busy"
                    )
        finally:
            self._body_bytes -= size
        return b"".join(chunks)

    def _too_large(self) -> Refused:
        return Refused(
            413,
            f"the body is over {self.settings.body_bytes:,} bytes",
            "Send several requests",
            _CLOSE,
            code="body_too_large",
        )


class _Exchange:
    """The answer's way out: security headers are added, its status is noted, a refusal is sent
    once.
    """

    def __init__(self, scope: Scope, send: Send, request_id: str, images: Sequence[str]) -> None:
        self.scope, self._send = scope, send
        self._images = images
        self.status = 500
        self._request_id = request_id
        self._began = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._began, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers().items():
                headers.setdefault(name, value)
            headers["x-request-id"] = self._request_id
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        if self._began:
            LOG.warning("%s %r cut off: %s", self.scope["method"], self.scope["path"], refused)
            return
        if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            LOG.warning("%s", refused)
        response: Response = of_error(Request(self.scope), refused)
        await response(self.scope, _nothing, self.send)

    def _headers(self) -> dict[str, str]:
        path = self.scope["path"]
        if path == "/" or path.startswith(PAGE):
            # Files of the page come with a tag: asked for again, they are not sent again.
            policy = page_policy(self._images)
            of_page = {"content-security-policy": policy, "cache-control": "no-cache"}
            return {**_HEADERS, **of_page}
        return _HEADERS


def _request_id(headers: Headers) -> str:
    """The id that the request came with, or one of its own; it stands in log lines and in the answer."""
    client_id = headers.get("x-request-id", "")
    return client_id if _REQUEST_ID.fullmatch(client_id) else secrets.token_hex(8)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _nothing() -> Message:
    return {"type": "http.disconnect"}

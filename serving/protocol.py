"""HTTP/1.1 as uvicorn speaks it, with limits on the time and the room that a client may take."""

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.logs import NowAndThen
from serving.problems import document_of

HEAD_BYTES = 1 << 16
MOST_PIPELINED = 100
_LOOKS = 4  # at what a client has not read, within its time

_full = NowAndThen()
_unread = NowAndThen()
_broken = NowAndThen()
_impatient = NowAndThen()


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose client does not send its headers in time, sends too many, or does
    not read what it asked for; uvicorn itself would wait for ever.

    header_seconds: from the first byte, or from the connection where none comes.
    write_seconds: in which a client must once have read all that was written.
    most_connections: of this process; a further one is closed at once.
    num_open: connections of this process.
    """

    header_seconds: ClassVar[float] = 10.0
    write_seconds: ClassVar[float] = 30.0
    most_connections: ClassVar[int] = 10_000
    num_open: ClassVar[int] = 0
    _is_open = False
    _deadline: asyncio.TimerHandle | None = None
    _look: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None
    _requests = 0
    _unread_looks = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.most_connections:
            self.transport = transport
            transport.abort()
            _full.warning("closed a connection: %d are open, the most", self.most_connections)
            return
        super().connection_made(transport)
        self._is_open = True
        PatientProtocol.num_open += 1
        self._arm()
        self._look_later()

    def data_received(self, data: bytes) -> None:
        requests = self._requests
        super().data_received(data)
        is_all_of_one_head = self._deadline is not None and self._requests == requests
        if is_all_of_one_head:  # perhaps of a single header that has no end: none is told yet
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests += 1
        self._head_bytes = 0
        if self._deadline is None:
            self._arm()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("the headers are too long")  # the parser stops, see below

    def send_400_response(self, msg: str) -> None:
        """Instead of uvicorn's text: a problem document, and a line that names the client."""
        status, code = HTTPStatus.BAD_REQUEST, "malformed"
        detail = "this is no HTTP/1.1 request"
        if self._head_bytes > HEAD_BYTES:
            status, code = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"
            detail = f"the headers are over {HEAD_BYTES:,} bytes"
        if len(self.pipeline) >= MOST_PIPELINED:
            _impatient.warning("cut off %s: over %d requests wait", self.client, MOST_PIPELINED)
        else:
            _broken.warning("refused %s: %s", self.client, detail)
        body = document_of(status, code, detail)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._disarm()
        if self._answered is not None and not self._answered.response_complete:
            self.transport.abort()  # whoever waits would take this for the answer to something else
        elif not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._disarm()
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("too many requests wait for the answers before theirs")
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:  # uvicorn reads on, as many requests at once as come in one piece
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._is_open:
            self._is_open = False
            PatientProtocol.num_open -= 1
        if self._look is not None:
            self._look.cancel()
        # uvicorn tells the latest of pipelined requests alone; the others would answer nobody.
        self.pipeline.clear()
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: an upgrade may be asked for, and need not be given."""

    def _arm(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(self.header_seconds, self._give_up)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._disarm()
        if not self.transport.is_closing():
            self.transport.close()

    def _look_later(self) -> None:
        self._look = self.loop.call_later(self.write_seconds / _LOOKS, self._look_at_unread)

    def _look_at_unread(self) -> None:
        """Abort where something was unread at every look: to close would wait for the client."""
        is_unread = self.transport.get_write_buffer_size() > 0
        self._unread_looks = self._unread_looks + 1 if is_unread else 0
        if self._unread_looks < _LOOKS:
            self._look_later()
            return
        _unread.warning(
            "cut off %s, who did not read for %g seconds", self.client, self.write_seconds
        )
        self.transport.abort()

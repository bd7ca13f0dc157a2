"""Log lines of the service: one a request or event, with its request's id, as text or as JSON.

What a client sent can forge no line: control characters are written as escapes.
"""

import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

import orjson

Form = Literal["text", "json"]

LOG = logging.getLogger("recsys.serving")
ACCESS = logging.getLogger("recsys.access")
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request under way in this task; empty outside of requests."""

_NOT_OURS = ("Invalid HTTP request received.", "Unsupported upgrade request.")


def configure(form: Form = "text", access: bool = False, info: bool = False) -> None:
    """Write the lines of this process to stderr.

    form: of a line. access: a line for every request, not for failed ones alone. info: those of the
    server about itself and its workers, too.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(_is_wanted)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.INFO if info else logging.WARNING)
    ACCESS.setLevel(logging.INFO if access else logging.WARNING)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Not what uvicorn says of a broken request: `protocol` does, with the client's address."""
    return record.msg not in _NOT_OURS


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = _iso(record.created)
        request = REQUEST_ID.get()
        named = f" [{request}]" if request else ""
        line = f"{moment} {record.levelname}{named} {_escaped(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": _iso(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        request = REQUEST_ID.get()
        if request:
            document["request_id"] = request
        document |= getattr(record, "fields", {})
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(document, default=str).decode()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _escaped(text: str) -> str:
    """Without line ends and other characters that are not shown."""
    if text.isprintable():
        return text
    escaped = []
    for character in text:
        escaped.append(character if character.isprintable() else ascii(character)[1:-1])
    return "".join(escaped)


class NowAndThen:
    """Warnings that a client can cause as often as it likes: one in so many seconds, with the number
    of those left out.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._next = 0.0
        self._left_out = 0

    def warning(self, message: str, *values: object) -> None:
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        if self._left_out:
            message += f" (and {self._left_out} times more before)"
        LOG.warning(message, *values)
        self._next = now + self._seconds
        self._left_out = 0

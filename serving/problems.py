"""Errors as problem documents (RFC 9457): what was wrong, and what to do about it."""

import logging
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from recsys.core.errors import RecsysError, UsageError
from serving.documents import Problem

MEDIA_TYPE = "application/problem+json"
BUG = "This is a bug in the service: its log has the traceback"

_LOG = logging.getLogger("recsys.serving")
_REMEDIES = {
    400: "See /openapi.json for the body",
    404: "See /openapi.json for the paths",
    405: "See /openapi.json for the methods of this path",
}


class Refused(RecsysError):
    """A request that is turned away with a status of HTTP. headers: sent along, such as
    Retry-After.
    """

    def __init__(
        self, status: int, message: str, remedy: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.headers = headers or {}


def problem(
    status: int, detail: str, remedy: str = "", headers: dict[str, str] | None = None
) -> Response:
    document: Problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail.encode(
            "utf-8", "replace"
        ).decode(),  # names from a request may hold half a surrogate pair
        "remedy": remedy,
    }
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)


def answer_errors(app: FastAPI) -> None:
    """Give an application the handlers that turn every error into a problem document."""
    app.add_exception_handler(RecsysError, of_error)
    app.add_exception_handler(RequestValidationError, of_error)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, of_error)


def of_error(request: Request | None, error: Exception) -> Response:
    """The problem document of any error; what nobody foresaw is a bug, status 500."""
    if isinstance(error, Refused):
        return problem(error.status, error.message, error.remedy, error.headers)
    if isinstance(error, UsageError):
        return problem(400, error.message, error.remedy)
    if isinstance(error, RecsysError):
        return problem(503, error.message, error.remedy)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(
            422, f"{place}: {first['msg']}", "See /openapi.json for the fields and their ranges"
        )
    _LOG.error("%s: %s", type(error).__name__, error, exc_info=error)
    return problem(500, f"{type(error).__name__} while answering", BUG)


def _http(request: Request, error: Exception) -> Response:
    status, detail, headers = 500, str(error), None
    if isinstance(error, HTTPException):
        status, detail, headers = error.status_code, str(error.detail), error.headers
    return problem(
        status,
        f"{request.method} {request.url.path}: {detail}",
        _REMEDIES.get(status, ""),
        dict(headers or {}),
    )

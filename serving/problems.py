"""Errors as problem documents (RFC 9457): what was wrong, and what to do about it."""

import re
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from recsys.core.errors import MachineError, RecsysError, UsageError
from serving.codes import type_of
from serving.documents import Problem
from serving.logs import LOG

MEDIA_TYPE = "application/problem+json"
BUG = "This is a bug in the service: its log has the traceback"

_REMEDIES = {
    400: "See /openapi.json for the body",
    404: "See /openapi.json for the paths",
    405: "See /openapi.json for the methods of this path",
}

_CODES = {400: UsageError.code, 404: "unknown_path", 405: "wrong_method"}


class Refused(RecsysError):
    """A request that is turned away with a status of HTTP. headers: sent along, such as
    Retry-After. code: one of `serving.codes`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        remedy: str = "",
        headers: dict[str, str] | None = None,
        *,
        code: str,
    ) -> None:
        super().__init__(message, remedy, code=code)
        self.status = status
        self.headers = headers or {}


def problem(
    status: int, code: str, detail: str, remedy: str = "", headers: dict[str, str] | None = None
) -> Response:
    return Response(document_of(status, code, detail, remedy), status, headers, MEDIA_TYPE)


def document_of(status: int, code: str, detail: str, remedy: str = "") -> bytes:
    """A problem document as JSON."""
    # Names from a request may hold half a surrogate pair.
    detail = detail.encode("utf-8", "replace").decode()
    document: Problem = {
        "type": type_of(code),
        "code": code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "remedy": remedy,
    }
    return orjson.dumps(document)


def invalid(error: ValidationError, part: str) -> RequestValidationError:
    """What pydantic says of a part of a request, "body" or "query", as FastAPI says it."""
    problems = []
    for detail in error.errors(include_url=False, include_input=False):
        problems.append({**detail, "loc": (part, *detail["loc"])})
    return RequestValidationError(problems)


def answer_errors(app: FastAPI) -> None:
    """Give an application the handlers that turn every error into a problem document."""
    app.add_exception_handler(RecsysError, of_error)
    app.add_exception_handler(RequestValidationError, of_error)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, of_error)


def of_error(request: Request | None, error: Exception) -> Response:
    """The problem document of any error; what nobody foresaw is a bug, status 500."""
    if isinstance(error, Refused):
        return problem(error.status, error.code, error.message, error.remedy, error.headers)
    if isinstance(error, UsageError):
        return problem(400, error.code, error.message, error.remedy)
    if isinstance(error, RecsysError):  # of this machine: the log names its folders
        LOG.error("%s", error)
        cannot = "the service cannot do that now"
        return problem(503, MachineError.code, cannot, "Try again; its log says why")
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        field = ".".join(str(key) for key in first["loc"])
        remedy = "See /openapi.json for the fields and their ranges"
        return problem(422, UsageError.code, f"{field}: {first['msg']}", remedy)
    LOG.error("%s: %s", type(error).__name__, error, exc_info=error)
    return problem(500, RecsysError.code, f"{type(error).__name__} while answering", BUG)


def _http(request: Request, error: Exception) -> Response:
    status, detail, headers = 500, str(error), {}
    if isinstance(error, HTTPException):
        status, detail, headers = error.status_code, str(error.detail), dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    code = _CODES.get(status, RecsysError.code)
    return problem(
        status,
        code,
        f"{request.method} {request.url.path}: {detail}",
        _REMEDIES.get(status, ""),
        headers,
    )


def _methods(request: Request) -> set[str]:
    """All that the path takes; the framework names those of one route alone."""
    methods: set[str] = set()
    for path, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\\{[^}]*\\}", ".+", re.escape(path))
        if re.fullmatch(pattern, request.url.path):
            methods |= {method.upper() for method in operations}
    return methods | {"HEAD"} if "GET" in methods else methods

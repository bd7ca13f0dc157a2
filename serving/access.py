"""The record of an answer: its figures, and its line in the log."""

import logging
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from serving.admission import PAGE
from serving.logs import ACCESS
from serving.metrics import Metrics


def route_of(scope: Scope) -> str:
    """The path of the route that answered, with names where a request has ids; all files of the page
    are one.
    """
    if scope["path"].startswith(PAGE):
        return PAGE
    return getattr(scope.get("route"), "path", "none")


def record(
    metrics: Metrics,
    scope: Scope,
    headers: Headers,
    status: int,
    seconds: float,
    trace_id: str = "",
) -> None:
    """Count an answer; log it where it failed, or every answer is logged.

    Args:
        metrics: What counts it.
        scope: The request.
        headers: Of the request.
        status: Of the answer.
        seconds: Until it was sent.
        trace_id: Of the trace that it is part of, if any.
    """
    route = route_of(scope)
    metrics.seconds.labels(route, scope["method"], status).observe(seconds)
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    level = logging.WARNING if failed else logging.INFO
    if not ACCESS.isEnabledFor(level):
        return
    client = scope.get("client") or ("", 0)
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "route": route,
        "status": status,
        "milliseconds": round(1000 * seconds, 2),
        "key": scope.get("key", "none"),
        "client": client[0],
    }
    if traceparent := headers.get("traceparent"):
        fields["traceparent"] = traceparent
    if trace_id:
        fields["trace_id"] = trace_id
    ACCESS.log(
        level,
        "%(method)s %(path)r %(status)d %(milliseconds).1f ms",
        fields,
        extra={"fields": fields},
    )

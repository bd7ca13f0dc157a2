"""What all routes share: the service behind them, and documents as responses."""

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response

from serving.context import Context
from serving.documents import Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "model": Problem,
        "description": "What was wrong with the request, and what to do.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
}


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(_context)]


def document(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON; ids that are no valid text cannot occur, so that nothing here fails."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def unchanging(request: Request, body: bytes, media_type: str = "application/json") -> Response:
    """What stays the same until another bundle answers: 304 for a client that has it already
    (RFC 9110, 8.8.3).
    """
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    known = [etag.strip() for etag in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)

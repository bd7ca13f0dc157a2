"""What all routes share: the service behind them, and documents as responses."""

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


def document(content: Any, status: int = 200) -> Response:
    """JSON; ids that are no valid text cannot occur, so that nothing here fails."""
    return Response(orjson.dumps(content), status, media_type="application/json")

"""The description of the API: what FastAPI finds, with the keys that it knows nothing of."""

import asyncio
from functools import cache
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from serving.admission import OPEN
from serving.routes.wire import unchanging

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "Authorization: Bearer KEY, of a service that was started with --keys.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def _name_errors(document: dict[str, Any]) -> None:
    """Errors are problem documents alone; the framework adds that they were plain JSON, too."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"]["content"].pop("application/json", None)


def operation_id(route: APIRoute) -> str:
    """The name of the function: generated clients call their methods so."""
    return route.name


def describe(app: FastAPI, with_keys: bool, prefix: str = "") -> None:
    """Give an application its description. with_keys: whether it asks for one. prefix: of its paths."""
    with_none: list[dict[str, list[str]]] = [] if with_keys else [{}]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                servers=[{"url": prefix or "/", "description": "Where this was read"}],
            )
            document["info"]["license"] = {"name": "Apache 2.0", "identifier": "Apache-2.0"}
            document["components"]["securitySchemes"] = _SCHEMES
            document["security"] = [*with_none, {"bearer": []}, {"header": []}]
            for path in OPEN:
                for operation in document["paths"].get(path, {}).values():
                    operation["security"] = []
            _name_errors(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @cache
    def written() -> bytes:
        """Once, for those who ask first: to find it out takes half a second."""
        return orjson.dumps(openapi())

    finding_out = asyncio.Lock()

    @app.get("/openapi.json", include_in_schema=False)
    async def description(request: Request) -> Response:
        """What this service can be asked."""
        async with finding_out:
            text = await asyncio.to_thread(written)
        return unchanging(request, text)

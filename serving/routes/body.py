"""Bodies read off the event loop, large ones piece by piece, so that nobody waits while they are read."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from recsys.core.artefacts import no_pause
from serving.bodies.sliced import read_sliced
from serving.problems import Refused, invalid

_SMALL_BYTES = 4096  # read as quickly as a thread is woken
_WAITING_BYTES = 8 << 20  # a tenth of a second a megabyte
_READER = ThreadPoolExecutor(1, "body")
_waiting: list[int] = []


class BodyRoute(APIRoute):
    """A route whose body is read as JSON by its model in a thread.

    FastAPI itself parses and checks on the event loop: two bodies of 7 MB kept everybody waiting for
    seconds. It is handed the model's instance, which it passes on.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler
        model: type[BaseModel] = self.body_field.field_info.annotation  # type: ignore[assignment]

        async def read_then_handle(request: Request) -> Response:
            text = await request.body()
            if len(text) > _SMALL_BYTES and await request.is_disconnected():
                raise Refused(400, "the client left before its answer", code="client_left")
            work = request.app.state.context.service.beside_others()
            try:
                body = await read(model, text, work)
            finally:
                work.stop()  # where its time is over
            return await handler(_Parsed(request, body))

        return read_then_handle


class _Parsed(Request):
    """A request whose body is an instance of its model."""

    def __init__(self, request: Request, body: BaseModel) -> None:
        super().__init__(request.scope, request.receive)
        self._json = body
        self._body = b"{}"


async def read(
    model: type[BaseModel], text: bytes, between: Callable[[], None] = no_pause
) -> BaseModel:
    """A body as its model.

    between: called between two pieces of a large one. Raises RequestValidationError, as FastAPI does,
    and Refused (503) where too much waits to be read.
    """
    try:
        if len(text) <= _SMALL_BYTES:
            return model.model_validate_json(text)
        if _waiting and sum(_waiting) + len(text) > _WAITING_BYTES:
            raise Refused(
                503, "large requests are under way", "Try again", {"Retry-After": "1"}, code="busy"
            )
        _waiting.append(len(text))
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_READER, read_sliced, model, text, between)
        finally:
            _waiting.remove(len(text))
    except ValidationError as error:
        raise invalid(error, "body") from None

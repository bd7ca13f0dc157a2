"""The path that is asked most, past the layers of the framework, which would spend as long on a
request as the answer.
"""

from dataclasses import dataclass
from typing import ClassVar

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from serving.problems import of_error
from serving.routes.recommend import recommend_user


@dataclass(frozen=True)
class Shortcut:
    """GET /v1/recommend/{user} before the application, which has the same route for OpenAPI. path:
    as that is named.
    """

    app: FastAPI
    prefix: ClassVar[str] = "/v1/recommend/"
    path: ClassVar[str] = "/v1/recommend/{user:path}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or not scope["path"].startswith(self.prefix)
        ):
            await self.app(scope, receive, send)
            return
        user = scope["path"].removeprefix(self.prefix)
        scope.update(app=self.app, route=self, path_params={"user": user})
        response = await _answer(Request(scope))
        await response(scope, receive, send)


async def _answer(request: Request) -> Response:
    try:
        return await recommend_user(request)
    except (
        Exception
    ) as error:  # as the application's own handlers do: a bug is logged and told as one
        return of_error(request, error)

"""The Model Context Protocol over a bundle: agents ask it by tools, on stdio or over HTTP on loopback."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from pydantic import ValidationError

from recsys.core.errors import ConfigError, MachineError
from recsys.core.machine import versions
from serving.app import make_app
from serving.in_process import InProcess, Reply
from serving.keys import Keys, Scope
from serving.mcp_tools import Tool, offered
from serving.settings import Settings

try:
    import anyio
    from mcp import types
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
except ImportError as error:
    raise MachineError(
        f"recsys mcp: the Model Context Protocol SDK is not installed ({error})",
        'pip install "recsys[mcp]"',
    ) from None

KEY_VARIABLE = "RECSYS_API_KEY"
"""Environment variable of the key; it is on no command line, where others could read it."""

_OK = 200
_INSTRUCTIONS = (
    "Recommendations out of one bundle; ids are those of the log that it was made from. "
    "Begin with report to learn what was measured and which attributes items have."
)


def serve_stdio(settings: Settings) -> None:
    """Answer the program that started this one, on its standard input and output."""

    async def run() -> None:
        server = make_server(settings)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(run)


def serve_http(settings: Settings) -> None:
    """Answer on http://HOST:PORT/mcp of loopback, by the streamable HTTP transport."""
    import uvicorn

    app = make_server(settings).streamable_http_app(host=settings.host)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning")


def make_server(settings: Settings) -> "Server[Any]":
    """A server of the tools that the key in RECSYS_API_KEY opens, those that read without one.

    Raises DataError for a bundle that is refused, ConfigError for a key that is not in the file.
    """
    token = os.environ.get(KEY_VARIABLE, "") if settings.keys is not None else ""
    tools = offered(_scopes(settings, token))
    app = make_app(settings)

    @asynccontextmanager
    async def life(_: "Server[Any]") -> AsyncIterator[InProcess]:
        async with InProcess(app, token) as service:
            yield service

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in tools.values()])

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        service: InProcess = context.lifespan_context
        return _result(await _answered(service, tools, params.name, params.arguments or {}))

    return Server(
        "recsys",
        version=versions(())["recsys"],
        instructions=_INSTRUCTIONS,
        lifespan=life,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _scopes(settings: Settings, token: str) -> tuple[Scope, ...]:
    if settings.keys is None:
        return ()
    key = Keys(settings.keys).find(token)
    if key is None or key.is_expired():
        raise ConfigError(
            f"{KEY_VARIABLE} holds no valid key of {str(settings.keys)!r}",
            f"Make one with recsys key NAME --scope read, and set {KEY_VARIABLE} to it",
        )
    return key.scopes


async def _answered(
    service: InProcess, tools: Mapping[str, Tool], name: str, arguments: dict[str, Any]
) -> Reply:
    """What a tool says; what it cannot take is told as the service would tell it."""
    tool = tools.get(name)
    if tool is None:
        return _refused(
            "unknown_tool", f"there is no tool {name!r} here; there are {sorted(tools)}"
        )
    try:
        tool.body.model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(key) for key in first["loc"])
        return _refused("invalid_request", f"{field}: {first['msg']}" if field else first["msg"])
    return await tool.answer(service, arguments)


def _refused(code: str, detail: str) -> Reply:
    return Reply(422, {"code": code, "detail": detail})


def _described(tool: Tool) -> types.Tool:
    annotations = types.ToolAnnotations(
        read_only_hint=tool.reads_only,
        destructive_hint=not tool.reads_only,
        open_world_hint=False,
    )
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.body.model_json_schema(),
        annotations=annotations,
    )


def _result(reply: Reply) -> types.CallToolResult:
    text = orjson.dumps(reply.document).decode()
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=reply.document,
        is_error=reply.status >= 400,
    )

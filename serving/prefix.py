"""A service under a path of its host, /recs say, behind a proxy that keeps the prefix or strips it."""

import re
from dataclasses import dataclass

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys.core.errors import UsageError

_PLAIN = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_OWN = ("v1", "page", "healthz", "readyz", "metrics", "openapi.json")


@dataclass(frozen=True)
class Prefixed:
    """ASGI middleware around everything else, which sees paths without the prefix."""

    app: ASGIApp
    prefix: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if path == self.prefix:  # the addresses in the page are relative to /recs/
            await RedirectResponse(f"{self.prefix}/", 308)(scope, receive, send)
            return
        if path.startswith(f"{self.prefix}/"):
            raw_path = scope["raw_path"].removeprefix(self.prefix.encode())
            scope = {**scope, "path": path.removeprefix(self.prefix), "raw_path": raw_path}
        await self.app(scope, receive, send)


def require_prefix(prefix: str) -> None:
    """Raises UsageError for what is no prefix, or would hide a path of the service."""
    if not prefix:
        return
    if not _PLAIN.fullmatch(prefix):
        raise UsageError(f"--prefix {prefix!r} is no path", "Write for example --prefix /recs")
    parts = prefix.split("/")[1:]
    if "." in parts or ".." in parts:
        raise UsageError(
            f"--prefix {prefix!r} has dots for folders", "Write the path that is meant"
        )
    if parts[0] in _OWN:
        raise UsageError(
            f"--prefix {prefix!r} begins as paths of the service do",
            "Choose another, such as /recs",
        )

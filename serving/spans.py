"""What a service does and when, for whoever wants to follow a request: here nobody does.

`serving.telemetry` has the same for OpenTelemetry, the one module that needs it.
"""

from starlette.datastructures import Headers
from starlette.types import Scope


class Part:
    """A part of the work, begun."""

    def then(self, name: str) -> "Part":
        """This part ends, and the next begins."""
        return self

    def end(self, **attributes: str | int | float) -> None:
        """attributes: what is known at its end."""


class RequestSpan:
    """A request under way. trace_id: of the trace that it is part of; empty where nobody follows."""

    trace_id = ""

    def end(self, route: str, status: int, seconds: float) -> None:
        """The answer was sent."""


class Spans:
    """Begins what is told."""

    def request(self, scope: Scope, headers: Headers) -> RequestSpan:
        """A request begins; what begins in its task before it ends is a part of it."""
        return _REQUEST

    def part(self, name: str) -> Part:
        """A part of the request under way, or something of its own where there is none."""
        return _PART

    def close(self) -> None:
        """Nothing begins any more; what was told is sent."""


_PART = Part()
_REQUEST = RequestSpan()

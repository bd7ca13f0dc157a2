"""What tests of the whole chain share."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from recsys.core.config import RunConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Called:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str


Call = Callable[..., Called]
Settings = Callable[..., RunConfig]
"""(folder of the world, "key=value", …) → a configuration that takes seconds."""


@dataclass
class Heard:
    """A Progress that keeps what is said."""

    lines: list[str] = field(default_factory=list)

    def say(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    def track(self, things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        yield from things

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

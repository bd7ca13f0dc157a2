"""How long work tells what it is doing. The library speaks to this Protocol; the command line draws
the bars.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Where messages and progress go."""

    def say(self, message: str, **fields: object) -> None:
        """One line for a person; `fields` are the same facts for a machine."""
        ...

    def track(self, things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """The same things, while a bar under `label` moves."""
        ...


class Quiet:
    """Says nothing."""

    def say(self, message: str, **fields: object) -> None:
        pass

    def track(self, things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        yield from things


QUIET = Quiet()

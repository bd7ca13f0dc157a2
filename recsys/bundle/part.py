"""What a bundle is made of: parts, each of which knows its files and what becomes of them.

A part is a frozen dataclass with the methods of `Part`, registered by `@registered` in a module of
`recsys.bundle.parts`. No other code names its files: writing, reading, adding items and forgetting
users are loops over the parts.
"""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

from recsys.cold_items.new_items import NewItems
from recsys.core.errors import DataError, UsageError

Facts = Mapping[str, Any]
"""What bundle.json keeps, of one part or of all."""
Kinds = tuple[type["Part"], ...]


class ForgottenUser(NamedTuple):
    """Who is to be forgotten: internal id (a row) and external id."""

    row: int
    external: str


class Part(Protocol):
    """One field of a bundle, or a few that belong together.

    reads: parts that this one asks for in `load` or `append_items`; they are dealt with before it.
    """

    reads: ClassVar[Kinds]

    def check(self, num_users: int, num_items: int) -> None:
        """Raises UsageError when its rows are not those of the users and items of the bundle."""

    def save(self, folder: Path) -> Facts:
        """Write its files; returns what bundle.json keeps of it."""

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: "Parts") -> Self | None:
        """Read it again, arrays mapped; None for a bundle that lacks it.

        facts: the document bundle.json. parts: those that it reads.
        """

    def append_items(self, new: NewItems, parts: "Parts") -> Self:
        """The part with new items behind the others. parts: those that it reads, already longer."""

    def drop_user(self, user: ForgottenUser) -> Self:
        """The part without the row of a user and without their name."""


P = TypeVar("P", bound=Part)


class Parts:
    """Parts by their types, at most one of each."""

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self._by_kind: dict[type[Part], Part] = {}
        for bundle_part in parts:
            self._by_kind[type(bundle_part)] = bundle_part

    def __iter__(self) -> Iterator[Part]:
        return iter(self._by_kind.values())

    def get(self, kind: type[P]) -> P | None:
        """The part of this type; None where the bundle lacks it."""
        bundle_part = self._by_kind.get(kind)
        return bundle_part if isinstance(bundle_part, kind) else None

    def __getitem__(self, kind: type[P]) -> P:
        bundle_part = self.get(kind)
        if bundle_part is None:
            raise DataError(
                f"the bundle lacks the part {kind.__name__}", "Write it again with recsys index"
            )
        return bundle_part

    def replaced(self, *parts: Part) -> "Parts":
        """These parts in the place of those of their types, or beside the others."""
        return Parts([*self, *parts])


_REGISTERED: list[type[Part]] = []


def registered(kind: type[P]) -> type[P]:
    """Class decorator: from now on every bundle may have this part."""
    _REGISTERED.append(kind)
    return kind


def registered_kinds() -> list[type[Part]]:
    """Every registered part, each behind those that it reads."""
    order: TopologicalSorter[type[Part]] = TopologicalSorter()
    for kind in _REGISTERED:
        order.add(kind, *kind.reads)
    return list(order.static_order())


def require_rows(name: str, rows: int, wanted: int) -> None:
    """Raises UsageError when a part has another number of rows than the bundle has ids."""
    if rows != wanted:
        raise UsageError(
            f"{rows} {name} for {wanted} internal ids", "Take all parts from the same phase"
        )

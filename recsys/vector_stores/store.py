"""What every vector store can do, and how versions of what it holds are named.

A version is what was written of one bundle, v0003_4f1c0a9d2b7e say: a number that grows, and the name
of the bundle. Its tables (collections, indexes) are called NAME_items_VERSION and NAME_users_VERSION.
Applications ask for NAME_items and NAME_users, which point at the tables of one version.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from recsys.core.arrays import Float32Array
from recsys.core.errors import MachineError, UsageError
from recsys.vector_stores.rows import Changes, Kind, Rows

IndexKind = Literal["hnsw", "flat"]
ENTRIES_LOOKED_AT = 200
"""So many candidates an HNSW index keeps while it searches (ef), or as many as are asked for."""
CONNECTIONS, BUILD_ENTRIES = 16, 200
"""Of an HNSW index: neighbours of each entry (m), candidates while it is built (ef_construction)."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
_VERSION = re.compile(r"_(v(\d{4,})_([0-9a-z-]+))$")


@dataclass(frozen=True)
class Live:
    """What applications are answered from.

    version: that the tables are named after.
    bundle: whose content they have; another one than in `version` after a push.
    """

    version: str
    bundle: str


class VectorStore(Protocol):
    """One database, seen under one name.

    errors: what its client raises when the database refuses or is gone.
    place: the database in words, for messages; holds no credentials.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    place: str

    def live(self) -> Live | None:
        """None before the first export."""

    def tables(self) -> list[str]:
        """Every table of the name, live or not."""

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        """A new table with an index for inner products, whole when this returns."""

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        """The ids of the k best available items for each query (n, d), best first."""

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        """Let applications see this version, all of it at once."""

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        """Change the tables of the live version in place; from then on it has the content of `bundle`."""

    def drop(self, table: str) -> None:
        """Delete a table that is not live."""

    def close(self) -> None: ...


def require_name(name: str) -> None:
    """Raises UsageError for a name that some store could not have in the names of its tables."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r}", "Small letters, digits and _, at most 30 of them, a letter first"
        )


def table_name(name: str, kind: Kind, version: str) -> str:
    return f"{name}_{kind}_{version}"


def version_of(table: str) -> str | None:
    """The version that a table belongs to; None for a table that is no export's."""
    match = _VERSION.search(table)
    return match[1] if match else None


def is_of(name: str, table: str) -> bool:
    """Whether a table was written under this name."""
    is_named = table.startswith((f"{name}_items_v", f"{name}_users_v"))
    return is_named and version_of(table) is not None


def next_version(versions: Sequence[str], bundle: str) -> str:
    """The version after all others."""
    newest = max((number_of(version) for version in versions), default=0)
    return f"v{newest + 1:04}_{bundle}"


def number_of(version: str) -> int:
    return int(version[1:].partition("_")[0])


@contextmanager
def explained(store: VectorStore) -> Iterator[None]:
    """What the client raises as MachineError."""
    try:
        yield
    except store.errors as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise MachineError(
            f"{store.place} refuses: {lines[0]}", "What applications are answered from is as before"
        ) from error

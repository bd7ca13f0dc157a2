"""People who are to be forgotten: salted hashes of their ids, so that the list names nobody."""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.core.artefacts import read_json, write_json

_SALT_BYTES = _HASH_BYTES = 16


@dataclass(frozen=True)
class Suppression:
    """hashes: keyed BLAKE2b of each id under `salt` (hex). Whoever holds both can test a guess, but
    read no id off it.
    """

    salt: str
    hashes: frozenset[str] = frozenset()

    @staticmethod
    def load(path: Path) -> "Suppression":
        """The list in a file; a new, empty one where there is none."""
        if not path.exists():
            return Suppression(secrets.token_hex(_SALT_BYTES))
        document = read_json(path)
        return Suppression(document["salt"], frozenset(document["hashes"]))

    def save(self, path: Path) -> None:
        write_json(path, {"salt": self.salt, "hashes": sorted(self.hashes)})

    def hash(self, outside: str) -> str:
        return hashlib.blake2b(
            outside.encode(), key=bytes.fromhex(self.salt), digest_size=_HASH_BYTES
        ).hexdigest()

    def holds(self, outside: str) -> bool:
        return self.hash(outside) in self.hashes

    def having(self, outside: str) -> "Suppression":
        """With one more."""
        return Suppression(self.salt, self.hashes | {self.hash(outside)})

    def among(self, ids: pl.Series) -> list[str]:
        """Which of some ids are on the list; each is hashed once."""
        return (
            [user for user in ids.drop_nulls().unique() if self.holds(user)] if self.hashes else []
        )

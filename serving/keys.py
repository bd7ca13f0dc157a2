"""API keys: who may do what, and how often. The file holds hashes; a key itself is shown once, when
it is made.
"""

import hashlib
import logging
import secrets
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.core.errors import ConfigError
from recsys.core.toml import to_toml

_LOG = logging.getLogger("recsys.serving")

Scope = Literal["read", "events", "admin"]


class Key(BaseModel):
    """One key. sha256: of the key, in hex. rate: requests per second, with `burst` at once; no
    limit when None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...]
    rate: float | None = Field(None, gt=0)
    burst: int = Field(10, ge=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = Field(min_length=1)


class Keys:
    """The keys of a TOML file of [[keys]], found by what a client sends.

    workers: how many processes share the rates. Raises ConfigError naming what is wrong with the
    file.
    """

    def __init__(self, path: Path, workers: int = 1) -> None:
        self._path = path
        self._workers = workers
        self._read()

    def follow(self) -> None:
        """Read the file again when it was changed; one that cannot be used leaves the keys as they
        are.
        """
        if self._path.exists() and _stamp(self._path) != self._stamp:
            try:
                self._read()
            except ConfigError as error:
                _LOG.error("kept the keys as they were: %s", error)

    def _read(self) -> None:
        try:
            self._stamp = _stamp(self._path)
            text = self._path.read_text(encoding="utf-8")
            file = _File.model_validate(tomllib.loads(text))
        except (OSError, tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot use the keys in {str(self._path)!r}: {error}", "Make one with: recsys key"
            ) from None
        # Every worker meters its own share: connections spread over them.
        buckets = {}
        for key in file.keys:
            if key.rate:
                buckets[key.sha256] = Bucket(key.rate / self._workers, key.burst)
        self._buckets = buckets
        self._keys = {key.sha256: key for key in file.keys}

    def find(self, token: str) -> Key | None:
        return self._keys.get(_digest(token))

    def wait(self, key: Key) -> float:
        """Seconds until this key may ask again; 0 when it may now, which is counted."""
        bucket = self._buckets.get(key.sha256)
        return bucket.take() if bucket else 0.0


class Bucket:
    """A token bucket: `rate` tokens per second flow in, up to `burst`. Indifferent to the wall
    clock.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._filled = time.monotonic()

    def take(self) -> float:
        """0 and one token less, or the seconds until there is one."""
        now = time.monotonic()
        inflow = (now - self._filled) * self.rate
        self._tokens = min(self.burst, self._tokens + inflow)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0


def new_key(name: str, scopes: Sequence[str], rate: float | None = None) -> tuple[str, str]:
    """A fresh key, and the lines for the file of keys, which hold its hash alone. Raises
    ConfigError for other scopes.
    """
    # 256 random bits: nothing to guess, so that a plain hash keeps them as well as a slow one
    # would.
    token = secrets.token_urlsafe(32)
    entry = {"name": name, "sha256": _digest(token), "scopes": list(scopes), "rate": rate}
    try:
        Key.model_validate(entry)
    except ValidationError as error:
        raise ConfigError(
            f"no such key can be made: {error}", "Scopes are read, events and admin"
        ) from None
    return token, "[[keys]]\n" + to_toml(entry)


def _stamp(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

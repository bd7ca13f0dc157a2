"""API keys: who may do what, and how often. The file holds hashes; a key itself is shown once, when
it is made.
"""

import hashlib
import math
import secrets
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.core.errors import ConfigError
from recsys.core.toml import to_toml
from serving.logs import LOG

Scope = Literal["read", "events", "admin", "metrics"]

WARNING_DAYS = 7
"""Before a key expires, the log says so once a day."""
_SECONDS_A_DAY = 86_400


class Key(BaseModel):
    """One key. sha256: of the key, in hex. rate: plain lists per second, with `burst` at once; what
    costs more than a plain list counts as several. No limit when None. expires: the last day, in
    UTC, on which it is taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...]
    rate: float | None = Field(None, gt=0)
    burst: int = Field(10, ge=1)
    expires: date | None = None

    @cached_property
    def end(self) -> float:
        """Unix seconds from which it is not taken any more; infinite where it does not expire."""
        if self.expires is None:
            return math.inf
        last = datetime(self.expires.year, self.expires.month, self.expires.day, tzinfo=UTC)
        return (last + timedelta(days=1)).timestamp()

    def is_expired(self) -> bool:
        return time.time() >= self.end


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
        self._told: dict[str, int] = {}
        self._read()

    def follow(self) -> None:
        """Read the file again when it was changed; one that cannot be used leaves the keys as they
        are. Keys that expire soon are named in the log, once a day.
        """
        self._tell_of_expiries()
        if self._path.exists() and file_stamp(self._path) != self._stamp:
            try:
                self._read()
            except ConfigError as error:
                LOG.error("kept the keys as they were: %s", error)

    def _read(self) -> None:
        try:
            self._stamp = file_stamp(self._path)
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

    def _tell_of_expiries(self) -> None:
        for key in self._keys.values():
            days = int((key.end - time.time()) // _SECONDS_A_DAY) if key.expires else math.inf
            if days > WARNING_DAYS or self._told.get(key.sha256) == days:
                continue
            self._told[key.sha256] = int(days)
            what = "has expired" if days < 0 else "expires soon"
            LOG.warning("key %r %s: its last day is %s", key.name, what, key.expires)

    def expiries(self) -> dict[str, float]:
        """Of each name with keys that expire, when the first does: unix seconds."""
        expiries: dict[str, float] = {}
        for key in self._keys.values():
            if key.expires is not None:
                expiries[key.name] = min(key.end, expiries.get(key.name, math.inf))
        return expiries

    def find(self, token: str) -> Key | None:
        """The key that a client sent, expired or not."""
        return self._keys.get(_digest(token))

    def wait(self, key: Key, lists: float = 1.0) -> float:
        """Seconds until this key may ask for what costs so many plain lists; 0 when it may now,
        which is counted.
        """
        bucket = self._buckets.get(key.sha256)
        return bucket.take(lists) if bucket else 0.0


class Bucket:
    """A token bucket: `rate` tokens per second flow in, up to `burst`. Indifferent to the wall
    clock.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._filled = time.monotonic()

    def take(self, tokens: float = 1.0) -> float:
        """0 and so many tokens less, or the seconds until they may be taken.

        More than a bucket holds are given by a full one, which is in debt then.
        """
        now = time.monotonic()
        inflow = (now - self._filled) * self.rate
        self._tokens = min(self.burst, self._tokens + inflow)
        self._filled = now
        needed = min(tokens, self.burst)
        if self._tokens < needed:
            return (needed - self._tokens) / self.rate
        self._tokens -= tokens
        return 0.0


def new_key(
    name: str, scopes: Sequence[str], rate: float | None = None, days: int | None = None
) -> tuple[str, str]:
    """A fresh key, and the lines for the file of keys, which hold its hash alone.

    Args:
        name: Who it is for.
        scopes: What it opens.
        rate: Plain lists per second; no limit when None.
        days: From today, after which it expires; never when None.

    Raises:
        ConfigError: There is no such scope, or another value is out of range.
    """
    # 256 random bits: nothing to guess, so that a plain hash keeps them as well as a slow one
    # would.
    token = secrets.token_urlsafe(32)
    entry: dict[str, Any] = {
        "name": name,
        "sha256": _digest(token),
        "scopes": list(scopes),
        "rate": rate,
    }
    if days is not None:
        entry["expires"] = datetime.now(UTC).date() + timedelta(days=days)
    try:
        Key.model_validate(entry)
    except ValidationError as error:
        raise ConfigError(
            f"no such key can be made: {error}", "Scopes are read, events, admin and metrics"
        ) from None
    return token, "[[keys]]\n" + to_toml(entry)


def file_stamp(path: Path) -> tuple[int, int, int]:
    """What differs once a file was changed."""
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

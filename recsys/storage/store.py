"""Objects below one URL of object storage (s3://, gs://, az://), by obstore.

Credentials are the provider's own: environment variables, profile, the machine's role. They are never
given here, and no message of a store is passed on with the query of an address in it, where
signatures stand.
"""

import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from recsys.core.addresses import is_object, refuse_secrets, shown
from recsys.core.artefacts import atomic_file
from recsys.core.errors import DataError, MachineError, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

INSTALL = 'pip install "recsys[remote]"'
BLOCK_BYTES = 16 << 20
_RETRY_SECONDS = 60.0
_UNBOUNDED = 1_000_000
"""Tries: the time is the bound. Ten of them are over within 4 s, pauses being drawn at random."""
_LONGEST_PAUSE_SECONDS = 10
RETRY_VARIABLE = "RECSYS_STORE_SECONDS"
"""Names how long a store that does not answer is asked again; a minute when absent."""
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 120
_DELETED_AT_ONCE = 1000
_SERVICES = {"s3": "S3", "s3a": "S3", "gs": "Google Cloud Storage"}
_CREDENTIALS = {
    "S3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or use a machine with a role",
    "Google Cloud Storage": "Set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud auth application-default",
    "Azure": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or use a managed identity",
}
_ASKED_THE_MACHINE = re.compile(
    r"169\.254\.|latest/(api|meta-data)|computeMetadata|metadata/identity"
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist")
_NO_ACCOUNT = re.compile(r"[Aa]ccount.*must be specified")
_QUERY = re.compile(r"\?[^\s\"')]+")
_CONNECTION_BROKE = re.compile(
    r"error sending request|error decoding response body|request or response body error"
)

Answer = TypeVar("Answer")
Moved = Callable[[int], None]
"""Called with the bytes that came or went since it was last called."""


@dataclass(frozen=True)
class Entry:
    """One object.

    key: below the URL of its store; "" for the object of that URL itself.
    bytes: its size.
    etag: changes with its content; None where the store gives none.
    """

    key: str
    bytes: int
    etag: str | None


@dataclass(frozen=True)
class Document:
    """A small object and the version of it that was read."""

    content: bytes
    version: dict[str, Any]


class ChangedMeanwhile(MachineError):
    """Somebody else wrote the object since it was read."""


class Store:
    """The objects below a URL. Raises UsageError for what is no such URL, MachineError where obstore
    is not installed.
    """

    def __init__(self, url: str) -> None:
        refuse_secrets(url)
        if not is_object(url) or not urlsplit(url).netloc:
            raise UsageError(
                f"{url!r} is no URL of object storage", "Write for example s3://bucket/folder"
            )
        if "?" in url:
            raise UsageError(
                f"{shown(url)!r} has a query behind its path",
                "Leave it out; a pattern is written with *",
            )
        self.url = url.rstrip("/")
        scheme = urlsplit(url).scheme.lower()
        self.service = _SERVICES.get(scheme, "Azure")
        self._patience_seconds = float(os.environ.get(RETRY_VARIABLE, _RETRY_SECONDS))
        with self._explained():
            self._objects = _open(self.url, self.service, self._patience_seconds)

    def entries(self, prefix: str = "") -> list[Entry]:
        """All objects below the folder `prefix`, by key. What stands for an empty folder is left out."""
        with self._explained(prefix):
            batches = self._again(
                lambda: list(self._obstore.list(self._objects, prefix=prefix or None))
            )
        listed = [
            Entry(facts["path"], facts["size"], _etag(facts))
            for batch in batches
            for facts in batch
            if facts["path"] and not facts["path"].endswith("/")
        ]
        return sorted(listed, key=lambda entry: entry.key)

    def entry(self, key: str = "") -> Entry | None:
        """The object called so; None where there is none."""
        from obstore.exceptions import NotFoundError

        with self._explained(key):
            try:
                facts = self._again(partial(self._obstore.head, self._objects, key))
            except (NotFoundError, FileNotFoundError) as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None
        return Entry(key, facts["size"], _etag(facts))

    def read(self, key: str) -> Document | None:
        """A small object whole; None where there is none."""
        from obstore.exceptions import NotFoundError

        with self._explained(key):
            try:
                facts, content = self._get(key)
            except (NotFoundError, FileNotFoundError) as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None
        version = {"e_tag": facts.get("e_tag"), "version": facts.get("version")}
        return Document(content, {name: tag for name, tag in version.items() if tag})

    def write(self, key: str, content: bytes, replaces: Document | Literal["nothing"]) -> None:
        """Write a small object in one step, if it is still as it was read.

        Stores that know no conditional writes let the last writer win, and a write whose answer got
        lost finds itself when it is tried again; what stands there afterwards is therefore read, and
        `content` must be bytes that no other writer writes.
        Raises ChangedMeanwhile where it is not what was written.
        """
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        mode: Any = "create"
        if replaces != "nothing":
            mode = replaces.version or "overwrite"
        with self._explained(key):
            try:
                self._put(key, content, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                pass
            except (NotImplementedError, NotSupportedError):
                self._put(key, content)
        present = self.read(key)
        if present is None or present.content != content:
            raise self._changed(key)

    def upload(self, path: Path, key: str, moved: Moved = lambda count: None) -> None:
        """Write an object from a file, in parts where it is large; it is there whole or not at all."""
        with self._explained(key):
            # Parts of 5 MB at least; S3 takes 10,000 of them.
            part_bytes = max(BLOCK_BYTES, path.stat().st_size // 9_000)
            self._put(key, path, chunk_size=part_bytes, max_concurrency=4)
        moved(path.stat().st_size)

    def download(self, entry: Entry, path: Path, moved: Moved = lambda count: None) -> None:
        """Bring an object, as it was listed, to `path`, in blocks; whole or not at all.

        Raises DataError where the object has changed since it was listed, and MachineError where the
        store cannot be reached.
        """
        from obstore.exceptions import NotFoundError, PreconditionError

        with atomic_file(path) as unfinished, unfinished.open("wb") as out:
            for start in range(0, entry.bytes, BLOCK_BYTES):
                options: Any = {"range": (start, min(start + BLOCK_BYTES, entry.bytes))}
                if entry.etag:
                    options["if_match"] = entry.etag
                with self._explained(entry.key):
                    try:
                        facts, block = self._get(entry.key, options=options)
                    except (NotFoundError, FileNotFoundError, PreconditionError) as error:
                        raise self._other(entry) from error
                self._require_same(entry, facts)
                moved(out.write(block))
            if out.tell() != entry.bytes:
                raise self._other(entry)

    def require_writable(self) -> None:
        """Raises what stands in the way of writing here, before anything large is made."""
        key = f"probe-{secrets.token_hex(8)}"
        with self._explained(key):
            self._put(key, b"")
        self.delete([key])

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are none."""
        from obstore.exceptions import NotFoundError

        for start in range(0, len(keys), _DELETED_AT_ONCE):
            batch = list(keys[start : start + _DELETED_AT_ONCE])
            with self._explained():
                try:
                    self._again(partial(self._obstore.delete, self._objects, batch))
                except (NotFoundError, FileNotFoundError):
                    # Some stores stop at the first that is not there.
                    self._delete_one_by_one(batch)

    def _delete_one_by_one(self, keys: Sequence[str]) -> None:
        from obstore.exceptions import NotFoundError

        for key in keys:
            with suppress(NotFoundError, FileNotFoundError):
                self._again(partial(self._obstore.delete, self._objects, key))

    def address(self, key: str) -> str:
        """The URL of an object."""
        return f"{self.url}/{key}" if key else self.url

    @property
    def _obstore(self) -> Any:
        import obstore

        return obstore

    def _get(self, key: str, **options: Any) -> tuple[Any, bytes]:
        """What the store says of an object, and its content."""

        def whole() -> tuple[Any, bytes]:
            result = self._obstore.get(self._objects, key, **options)
            return result.meta, bytes(result.bytes())

        return self._again(whole)

    def _put(self, key: str, content: bytes | Path, **options: Any) -> None:
        self._again(partial(self._obstore.put, self._objects, key, content, **options))

    def _again(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until the time is over where a connection broke in a way that obstore gives up at: it
        takes up again what could not be sent, and not what was reset on the way.
        """
        end = time.monotonic() + self._patience_seconds
        while True:
            try:
                return ask()
            except Exception as error:
                if not _broke_on_the_way(error) or time.monotonic() >= end:
                    raise
            time.sleep(random.uniform(0, min(1, _LONGEST_PAUSE_SECONDS)))

    def _require_same(self, entry: Entry, facts: Any) -> None:
        """For stores that ignore conditions."""
        if facts["size"] != entry.bytes or _etag(facts) != entry.etag:
            raise self._other(entry)

    def _other(self, entry: Entry) -> DataError:
        return DataError(
            f"{self.address(entry.key)} has changed while it was read",
            "Run it again once whoever writes there is done",
        )

    def _changed(self, key: str) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"{self.address(key)} was changed by somebody else meanwhile", "Run it again"
        )

    @contextmanager
    def _explained(self, key: str = "") -> Iterator[None]:
        """Turn what obstore raises into errors that name the address, and no secret."""
        try:
            yield
        except ImportError as error:
            raise MachineError(
                f"{self.url} is object storage, and obstore is not installed ({error})", INSTALL
            ) from None
        except Exception as error:
            if not _is_of_obstore(error):
                raise
            # The chain would show signed addresses in a traceback.
            raise self._meaning(error, key) from None

    def _meaning(self, error: Exception, key: str) -> DataError | MachineError:
        address, text = self.address(key), _QUERY.sub("", str(error))
        kind = type(error).__name__
        if _ASKED_THE_MACHINE.search(text) or _NO_ACCOUNT.search(text):
            return MachineError(
                f"there are no credentials for {address}", _CREDENTIALS[self.service]
            )
        if _NO_BUCKET.search(text):
            return DataError(f"there is no bucket {urlsplit(self.url).netloc!r}", "Check the URL")
        if kind == "NotFoundError" or isinstance(error, FileNotFoundError):
            return DataError(f"there is no {address}", "Check the URL")
        if "Wanted range" in text:
            return self._other(Entry(key, 0, None))
        if kind == "UnauthenticatedError" or "InvalidAccessKeyId" in text or "Signature" in text:
            return MachineError(
                f"{self.service} does not know the credentials for {address}",
                _CREDENTIALS[self.service],
            )
        if kind == "PermissionDeniedError" or "403" in text:
            return MachineError(
                f"the credentials may not do this at {address} ({self.service} said 403)",
                "Give them the rights to list, read and write there, or check the credentials",
            )
        first = text.strip().split("\n")[0][:300]
        what = "cannot use" if "non-2xx" in text else "cannot reach"
        return MachineError(f"{what} {address}: {first}", "Run it again when it answers")


def _broke_on_the_way(error: Exception) -> bool:
    """Not while credentials were looked for: there nobody may be at the other end at all."""
    text = str(error)
    return bool(_CONNECTION_BROKE.search(text)) and not _ASKED_THE_MACHINE.search(text)


def _etag(facts: Any) -> str | None:
    """In quotes: listings of Azure leave them out."""
    tag = facts.get("e_tag")
    if not tag or tag.endswith('"'):
        return tag or None
    return f'"{tag}"'


def _open(url: str, service: str, patience_seconds: float) -> "ObjectStore":
    from obstore.store import from_url

    client: Any = {
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(seconds=_ANSWER_SECONDS),
        # The providers' own addresses have TLS; whoever names another one without means it.
        "allow_http": True,
    }
    retry: Any = {
        "max_retries": _UNBOUNDED if patience_seconds else 0,
        "retry_timeout": timedelta(seconds=patience_seconds),
        "backoff": {"max_backoff": timedelta(seconds=_LONGEST_PAUSE_SECONDS)},
    }
    options = {"client_options": client, "retry_config": retry}
    if service == "S3" and _needs_profile():
        return from_url(url, credential_provider=_profile(), **options)
    return from_url(url, **options)


def _needs_profile() -> bool:
    """Whether the credentials of S3 stand in the files of the AWS command line."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return False
    stored = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    return bool(os.environ.get("AWS_PROFILE")) or Path(stored).expanduser().exists()


def _profile() -> Any:
    """Credentials of AWS_PROFILE, or the default ones, read by boto3."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise MachineError(
            "AWS profiles are read by boto3, which is not installed",
            "pip install boto3, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from None
    return Boto3CredentialProvider()


def _is_of_obstore(error: Exception) -> bool:
    from obstore.exceptions import BaseError

    return isinstance(error, BaseError | FileNotFoundError) or type(error).__module__.startswith(
        "obstore"
    )

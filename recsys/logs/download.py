"""A file from a web address: resumable, verified, whole or absent."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from recsys.core.artefacts import file_sha256, read_json, write_json
from recsys.core.errors import DataError, MachineError, UsageError

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 60
_NOTHING_THERE = 416  # Range Not Satisfiable
_ALGORITHMS = ("sha256", "md5")

Moved = Callable[[int, int | None], None]
"""Called with the bytes there are so far and the bytes expected."""


def download(
    address: str,
    path: Path,
    checksum: str | None = None,
    moved: Moved = lambda done, expected: None,
    attempts: int = 5,
    pause_seconds: float = 1.0,
) -> str:
    """Bring the file at `address` (http or https) to `path` and return "sha256:…" of it.

    What came before an interruption is kept in `path`.part and continued if the server still has
    the same file. checksum: "sha256:…" or "md5:…"; a file that differs is removed. Raises DataError
    when it differs, MachineError when the server cannot be reached in `attempts` tries, and
    UsageError for another kind of address.
    """
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"cannot fetch {address!r}", "Addresses begin with http:// or https://")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(f"{path.name}.part")
    problem: Exception | None = None
    for attempt in range(attempts):
        time.sleep(pause_seconds * (2**attempt - 1) if attempt else 0)
        try:
            if _continue(address, partial_file, moved):
                return _accept(partial_file, path, checksum)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code != _NOTHING_THERE:
                raise MachineError(
                    f"{address} answered {error.code} {error.reason}", "Check the address"
                ) from error
            problem = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
    raise MachineError(
        f"could not fetch all of {address} in {attempts} tries: {problem or 'the connection closed early'}",
        f"Try again later: what has come is kept in {partial_file.name}",
    )


def verify(path: Path, checksum: str) -> bool:
    """Whether the file has the checksum "algorithm:digest". Raises UsageError for an algorithm that
    is not known.
    """
    algorithm, _, digest = checksum.partition(":")
    if algorithm not in _ALGORITHMS:
        raise UsageError(
            f"checksum {checksum!r} is of no known kind", f"Known: {', '.join(_ALGORITHMS)}"
        )
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest() == digest.lower()


def _continue(address: str, part: Path, moved: Moved) -> bool:
    """Append what is missing to `part`; whether all is there."""
    have = part.stat().st_size if part.exists() else 0
    tag = _tag_file(part)
    known = read_json(tag)["tag"] if have and tag.exists() else None
    have = (
        have if known else 0
    )  # without a tag nothing tells whether the rest belongs to the same file
    request = urllib.request.Request(
        address, headers={"User-Agent": "recsys", "Accept-Encoding": "identity"}
    )
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", str(known))
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if (
            error.code == _NOTHING_THERE
        ):  # nothing after what is here: it was whole already, or it is of another file
            part.unlink()
        raise
    with answer:
        have = have if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        expected = have + int(length) if length else None
        write_json(tag, {"tag": answer.headers.get("ETag") or answer.headers.get("Last-Modified")})
        return _append(answer, part, have, expected, moved)


def _append(
    answer: http.client.HTTPResponse, part: Path, have: int, expected: int | None, moved: Moved
) -> bool:
    with part.open("ab" if have else "wb") as stream:
        while chunk := answer.read(_CHUNK_BYTES):
            stream.write(chunk)
            have += len(chunk)
            moved(have, expected)
    return expected is None or have == expected


def _accept(part: Path, path: Path, checksum: str | None) -> str:
    _tag_file(part).unlink(missing_ok=True)
    if checksum and not verify(part, checksum):
        received = file_sha256(part)
        part.unlink()
        raise DataError(
            f"{path.name} is not the file that was expected: wanted {checksum}, got sha256:{received}",
            "It was removed. Fetch it again; if it differs again, its publisher has changed it",
        )
    part.replace(path)
    return f"sha256:{file_sha256(path)}"


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")

"""Where copies of remote files lie on this machine: $RECSYS_CACHE, else a folder of the user's cache."""

import os
import re
import shutil
from pathlib import Path

from recsys.core.artefacts import text_sha256
from recsys.core.errors import MachineError

_SPARE_BYTES = 256 << 20
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def cache_folder(*names: str) -> Path:
    """A folder of the cache, which only its owner may read: logs are about people."""
    root = os.environ.get("RECSYS_CACHE")
    if not root:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        root = str(Path(home) / "recsys")
    folder = Path(root)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = folder.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"cannot write {str(folder)!r}: {error.strerror}", "Name another folder in RECSYS_CACHE"
        ) from None
    return folder


def folder_name(url: str) -> str:
    """A name for what a URL names: readable, and of no other URL."""
    last = _PLAIN.sub("-", url.rstrip("/").rpartition("/")[2])[:40]
    return f"{last}-{text_sha256(url)[:12]}"


def require_space(folder: Path, wanted_bytes: int, what: str) -> None:
    """Raises MachineError where what is to be brought does not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if wanted_bytes + _SPARE_BYTES > free:
        raise MachineError(
            f"{what} takes {wanted_bytes / 1e9:.1f} GB, and {str(folder)!r} has {free / 1e9:.1f} GB free",
            "Name a folder on a larger disk in RECSYS_CACHE",
        )

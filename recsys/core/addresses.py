"""Names of files and folders: paths, and URLs such as s3://bucket/logs/day.parquet.

A URL that carries a password, a key or a signature is refused wherever it comes from, and no message
repeats it: what a configuration holds is written to manifests, reports and logs.
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from recsys.core.errors import UsageError

OBJECT_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_SECRET = re.compile(r"sig|token|secret|password|passwd|pwd|credential|api.?key|access.?key", re.I)
_CREDENTIALS = (
    "Credentials come from the environment, a profile or the machine's role: docs/storage.md"
)


def is_url(name: str) -> bool:
    """Whether a name is a URL of any kind."""
    return "://" in name


def is_object(name: str) -> bool:
    """Whether a name is a URL of object storage."""
    return name.partition("://")[0].lower() in OBJECT_SCHEMES and is_url(name)


def local_path(name: str) -> str:
    """The path of a file:// URL; any other name as it stands. Raises UsageError for one that names
    another machine.
    """
    if not name.lower().startswith("file://"):
        return name
    parts = urlsplit(name)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            f"{name!r} names a file of the machine {parts.netloc!r}",
            "Write file:///PATH, with three slashes, or the path alone",
        )
    return unquote(parts.path)


def beside(name: str, *names: str) -> str:
    """The name of something below a folder or URL."""
    if is_url(name):
        return "/".join([name.rstrip("/"), *names])
    return str(Path(name, *names))


def refuse_secrets(name: str) -> None:
    """Raises UsageError for a URL with a password, a key or a signature in it."""
    if not is_url(name):
        return
    parts = urlsplit(name)
    user, at, _ = parts.netloc.rpartition("@")
    # abfss://container@account.dfs.core.windows.net names a container before the @, no person.
    has_user = bool(at) and (":" in user or not parts.scheme.lower().startswith("abfs"))
    if has_user:
        raise UsageError(f"the URL {shown(name)!r} carries a user or a password", _CREDENTIALS)
    for key, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.search(key):
            raise UsageError(f"the URL {shown(name)!r} carries a secret: {key}=…", _CREDENTIALS)


def shown(name: str) -> str:
    """A URL without the parts that may hold secrets; a path as it stands."""
    if not is_url(name):
        return name
    parts = urlsplit(name)
    host = parts.netloc if parts.scheme.startswith("abfs") else parts.netloc.rpartition("@")[2]
    if ":" in parts.netloc.rpartition("@")[0]:
        host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))

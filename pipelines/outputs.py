"""Files and folders that a command writes where it is told: on this machine, or in object storage."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recsys.core.addresses import is_object, is_url, local_path, refuse_secrets
from recsys.core.errors import UsageError
from recsys.core.progress import QUIET, Progress

Own = Callable[[Sequence[str]], bool]
"""Whether files of these names are what the same command left before."""


@contextmanager
def output_file(place: str, progress: Progress = QUIET) -> Iterator[Path]:
    """Where to write a file. What a URL names is there, whole, when the block ends well.

    Raises UsageError for a URL of another kind or with a secret in it, MachineError where the store
    cannot be written to, before anything is made.
    """
    _require_place(place)
    if not is_object(place):
        yield Path(local_path(place))
        return
    from recsys.storage.store import Store

    parent, _, name = place.rpartition("/")
    store = Store(parent)
    store.require_writable()
    with tempfile.TemporaryDirectory(prefix="recsys-out-") as folder:
        file = Path(folder) / name
        yield file
        _say(progress, place, [file])
        store.upload(file, name)


@contextmanager
def output_folder(
    place: str, own: Own, last: str | None = None, progress: Progress = QUIET
) -> Iterator[Path]:
    """Where to write a folder. Of a URL its files are there when the block ends well, and those that
    the same command left before are gone.

    Args:
        place: Path or URL.
        own: Tells files at a URL that may be replaced from those of others.
        last: File that is uploaded behind all others.
        progress: Told of what goes.

    Raises:
        UsageError: As `output_file`, and for a URL that holds other files.
        MachineError: The store cannot be written to.
    """
    _require_place(place)
    if not is_object(place):
        yield Path(local_path(place))
        return
    from recsys.storage.store import Store

    store = Store(place)
    before = [entry.key for entry in store.entries()]
    if before and not own(before):
        raise UsageError(f"{place!r} holds other files", "Choose an empty or a new --out")
    store.require_writable()
    with tempfile.TemporaryDirectory(prefix="recsys-out-") as parent:
        folder = Path(parent) / "out"
        yield folder
        files = sorted(folder.iterdir(), key=lambda file: (file.name == last, file.name))
        _say(progress, place, files)
        for file in files:
            store.upload(file, file.name)
        names = {file.name for file in files}
        store.delete([key for key in before if key not in names])


def _say(progress: Progress, place: str, files: Sequence[Path]) -> None:
    num_bytes = sum(file.stat().st_size for file in files)
    progress.say(f"uploading {num_bytes / 1e6:,.1f} MB to {place}", bytes=num_bytes)


def _require_place(place: str) -> None:
    """Raises UsageError for a URL with a secret in it, and for one of another kind."""
    refuse_secrets(place)
    if is_url(place) and not is_object(place) and not place.lower().startswith("file://"):
        raise UsageError(
            f"{place!r} is no place to write to", "Name a path, s3://…, gs://… or az://…"
        )

"""Run folders by the names that people give: a path, or a URL of object storage whose copy on this
machine is used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.core.addresses import is_object, is_url, local_path, refuse_secrets
from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError
from recsys.core.progress import QUIET, Progress


def to_read(place: str | Path, progress: Progress = QUIET, every_bundle: bool = False) -> RunFolder:
    """A run folder as it is now; of one at a URL with the live bundle, or all of them. Raises
    UsageError where there is none.
    """
    name = _checked(place)
    if not is_object(name):
        return RunFolder.existing(Path(local_path(name)))
    from recsys.releases.remote import RemoteRun

    return RemoteRun(name, "served", progress).follow(every_bundle)


def served_place(place: str | Path, progress: Progress = QUIET) -> tuple[Path, Path | None]:
    """The bundle that is served, and the run folder it belongs to where that was named: both on this
    machine.

    place: a run folder, which may be a URL, a bundle folder, or URL/bundles/NAME. Raises UsageError for
    neither, and for a run that has no bundle yet.
    """
    name = _checked(place)
    path = Path(local_path(name))
    if not is_object(name) and (path / "bundle.json").exists():
        return path, None
    root, bundles, bundle = name.rstrip("/").rpartition("/bundles/")
    if is_object(name) and bundles:
        from recsys.releases.life_cycle import find

        return find(to_read(root, progress, every_bundle=True), bundle), None
    folder = to_read(name, progress)
    if not folder.bundle.exists():
        raise UsageError(
            f"the run {name!r} has no bundle yet", "Finish it with the recsys run that began it"
        )
    return folder.bundle, folder.path


@contextmanager
def to_change(place: str | Path, progress: Progress = QUIET) -> Iterator[RunFolder]:
    """A run folder to change; what a URL names follows when the block ends well."""
    name = _checked(place)
    if not is_object(name):
        yield RunFolder.existing(Path(local_path(name)))
        return
    from recsys.releases.remote import RemoteRun

    with RemoteRun(name, "runs", progress).changed() as folder:
        yield folder


def with_stages(place: str | Path) -> RunFolder:
    """A run folder with what its stages left: of one at a URL, the copy that this machine ran in.

    Raises UsageError where there is none.
    """
    name = _checked(place)
    if not is_object(name):
        return RunFolder.existing(Path(local_path(name)))
    from recsys.releases.remote import RemoteRun

    folder = RemoteRun(name, "runs").copy
    if not folder.manifest.exists() or not folder.interactions.exists():
        raise UsageError(
            f"what the stages of {name!r} left is not on this machine: a URL holds bundles alone",
            f"Run it here first: recsys run CONFIG --out {name}",
        )
    return folder


def beside_service(place: str | Path) -> RunFolder:
    """A run folder on this machine, where a service keeps what it answered. Raises UsageError for a
    URL.
    """
    name = _checked(place)
    if is_object(name):
        raise UsageError(
            f"an experiment is read off the answers and events that services keep in the run "
            f"folder, which needs a disk: {name!r} is in object storage",
            "Keep the run on a disk that its services share: recsys run CONFIG --out FOLDER; recsys "
            "serve FOLDER; recsys experiment start FOLDER",
        )
    return RunFolder.existing(Path(local_path(name)))


def _checked(place: str | Path) -> str:
    """Raises UsageError for a URL with a secret in it, and for one of another kind."""
    name = str(place)
    refuse_secrets(name)
    if is_url(name) and not is_object(name) and not name.startswith("file://"):
        raise UsageError(
            f"{name!r} is no place for a run folder", "Name a folder, s3://…, gs://… or az://…"
        )
    return name

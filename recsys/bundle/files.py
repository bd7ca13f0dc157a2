"""The folder of a bundle: whole or absent, named by its content, every file guarded by its hash.

manifest.json holds size and sha256 of every other file, and when the bundle was written. The address of a
bundle, the first letters of which are its name, is a hash of what it answers from.

A bundle may come from anywhere, so nothing in its manifest is trusted: files have plain names and lie in the
folder itself, no link is followed, and nothing is read from it before names, kinds and sizes were checked.
"""

import re
import shutil
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from recsys.bundle.storage import as_data_error, load_document, save_document
from recsys.core.artefacts import atomic_folder, copy_sha256, file_sha256, no_pause, text_sha256
from recsys.core.errors import DataError
from recsys.core.machine import versions

FORMAT = 1
NAME_LETTERS = 12
"""So many letters of its address are the name of a bundle."""

REPORT_FILES = ("report.json", "report.html")
"""What is told of a bundle; nothing is answered from it."""

BESIDE = ("recommender.json",)
"""What a saved recommender keeps in the folder of its bundle; no bundle reads it."""

MANIFEST = "manifest.json"
_NAME = re.compile(r"[0-9a-f]{12}")
_GOLDEN = "golden.json"
_CARDS = ("index_card.json", "model_card.json")
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _FileFacts(BaseModel):
    sha256: _Sha256
    bytes: Annotated[int, Field(ge=0)]


class _Manifest(BaseModel):
    """files: by name. written: None in older bundles."""

    format: int
    address: _Sha256
    files: dict[str, _FileFacts]
    written: AwareDatetime | None = None

    @property
    def hashes(self) -> dict[str, str]:
        return {name: facts.sha256 for name, facts in self.files.items()}


def check_files(path: Path, hashes: bool = True) -> None:
    """Compare the files of a bundle with its manifest, and both with its name.

    Raises DataError naming the first that differs, and for what no bundle holds: a file that the
    manifest does not list, a name with a folder in it, a link.
    """
    manifest = _checked_manifest(path)
    if not hashes:
        return
    for name, facts in manifest.files.items():
        if file_sha256(path / name) != facts.sha256:
            raise _changed(path, name)
    _require_address(path, path, manifest)


def copy_checked(path: Path, copy: Path, between: Callable[[], None] = no_pause) -> None:
    """Copy a bundle into the new folder `copy`, with its hashes checked on the way; `between` is
    called after each MB.

    Raises DataError as `check_files` does; nothing is written outside `copy`.
    """
    manifest = _checked_manifest(path)
    copy.mkdir()
    with as_data_error(path):
        shutil.copy2(path / MANIFEST, copy)
        for name, facts in manifest.files.items():
            if copy_sha256(path / name, copy / name, between) != facts.sha256:
                raise _changed(path, name)
    _require_address(path, copy, manifest)


def is_name(name: str) -> bool:
    """Whether a bundle may be called so."""
    return bool(_NAME.fullmatch(name))


def file_names(path: Path) -> list[str]:
    """Of a bundle, as its manifest lists them, and the manifest. Raises DataError for names that no
    bundle has.
    """
    manifest = _manifest_of(path)
    for name in manifest.files:
        _require_plain_name(path, name)
    return [MANIFEST, *manifest.files]


def address_of(path: Path) -> str:
    """As the manifest says; `check_files` compares it with the content."""
    return _manifest_of(path).address


def written_at(path: Path) -> float:
    """When a bundle was written, in unix seconds; copies keep it. Raises DataError for what is no
    bundle.
    """
    manifest = _manifest_of(path)
    if manifest.written is None:
        return (path / MANIFEST).stat().st_mtime
    return manifest.written.timestamp()


def _checked_manifest(path: Path) -> _Manifest:
    """The manifest, with names, kinds and sizes of all files as it says."""
    manifest = _manifest_of(path)
    for name in manifest.files:
        _require_plain_name(path, name)
    for file in path.iterdir():
        if file.name not in (MANIFEST, *BESIDE, *manifest.files):
            raise DataError(
                f"bundle {str(path)!r} holds {file.name!r}, which its manifest does not list",
                "Take it away, or write the bundle again with recsys index",
            )
    for name, facts in manifest.files.items():
        _require_file(path, name, facts)
    return manifest


def _manifest_of(path: Path) -> _Manifest:
    """Raises DataError for what is not a bundle of this format."""
    file = path / MANIFEST
    if file.is_symlink() or not file.is_file():
        raise DataError(
            f"{str(path)!r} is not a bundle: it has no {MANIFEST}", "Make one with recsys index"
        )
    with as_data_error(path):
        manifest = _Manifest.model_validate(load_document(file))
    if manifest.format != FORMAT:
        raise DataError(
            f"bundle {str(path)!r} has format {manifest.format}, this version reads {FORMAT}",
            "Write it again",
        )
    return manifest


def _require_plain_name(path: Path, name: str) -> None:
    """Raises DataError for a name that could lead out of the folder."""
    is_plain = name == Path(name).name and "\\" not in name and name.isprintable()
    if not is_plain or name.startswith(".") or name in ("", MANIFEST):
        raise DataError(
            f"the manifest of bundle {str(path)!r} names a file {name!r}, which no bundle has",
            "Do not use it: it was made to harm, or is damaged",
        )


def _require_file(path: Path, name: str, facts: _FileFacts) -> None:
    """Raises DataError where the file is not there, is no plain file, or has another size."""
    try:
        status = (path / name).lstat()
    except OSError:
        raise DataError(
            f"bundle {str(path)!r} lacks {name}", "Write it again with recsys index"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(
            f"{name} in bundle {str(path)!r} is no plain file",
            "Copy the bundle without links (cp -rL), or write it again with recsys index",
        )
    if status.st_size != facts.bytes:
        raise _changed(path, name)


def _require_address(path: Path, folder: Path, manifest: _Manifest) -> None:
    """Raises DataError unless manifest and name of a bundle are those of its content; a folder may
    also have a name that is no bundle's, such as "films".

    path: where it lies. folder: where its files, whose hashes were checked, are read.
    """
    with as_data_error(path):
        address = _address(folder, manifest.hashes)
    if address != manifest.address:
        raise DataError(
            f"bundle {str(path)!r} was changed: its content has the address "
            f"{address[:NAME_LETTERS]}, its manifest says {manifest.address[:NAME_LETTERS]}",
            "Write it again with recsys index",
        )
    name = path.resolve().name
    if _NAME.fullmatch(name) and name != address[:NAME_LETTERS]:
        raise DataError(
            f"bundle {str(path)!r} is not named by its content, which is {address[:NAME_LETTERS]}",
            f"Rename its folder to {address[:NAME_LETTERS]}",
        )


def _changed(path: Path, name: str) -> DataError:
    return DataError(
        f"{name} in bundle {str(path)!r} was changed or cut short",
        "Write it again with recsys index",
    )


def write_sealed(
    bundles: Path, fill: Callable[[Path], None], record: Callable[[Path], Any]
) -> Path:
    """Write bundles/<sha12> and return it; a bundle of the same content is left as it is.

    fill: writes the files into a folder. record: asks the bundle in that folder its golden requests
    and gives the document.
    """
    staging = bundles / ".staging.tmp"
    with atomic_folder(staging) as folder:
        fill(folder)
        save_document(folder / _GOLDEN, record(folder))
        address = _seal(folder)
    path = bundles / address[:NAME_LETTERS]
    if (path / MANIFEST).exists():
        shutil.rmtree(staging)
    else:
        staging.replace(path)
    return path


def _seal(folder: Path) -> str:
    """Write the manifest of the files in a folder; returns the address."""
    files = {}
    for file in sorted(folder.iterdir()):
        files[file.name] = {"sha256": file_sha256(file), "bytes": file.stat().st_size}
    address = _address(folder, {name: str(facts["sha256"]) for name, facts in files.items()})
    manifest = {
        "format": FORMAT,
        "address": address,
        "files": files,
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(),
    }
    save_document(folder / MANIFEST, manifest)
    return address


def _address(folder: Path, hashes: Mapping[str, str]) -> str:
    """Hash of what a bundle answers from: timings on the cards, the report, and the answers
    themselves do not move it. hashes: of the files, by name.
    """
    lines = []
    for name in sorted(hashes):
        if name in _CARDS:
            card = load_document(folder / name)
            card.pop("measured", None)
            lines.append(f"{name}\0{text_sha256(repr(sorted(card.items())))}")
        elif name not in (_GOLDEN, *REPORT_FILES):
            lines.append(f"{name}\0{hashes[name]}")
    return text_sha256("\n".join(lines))

"""The folder of a bundle: whole or absent, named by its content, every file guarded by its hash.

manifest.json holds size and sha256 of every other file. The address of a bundle, the first letters of
which are its name, is a hash of what it answers from.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recsys.bundle.storage import as_data_error, load_document, save_document
from recsys.core.artefacts import atomic_folder, copy_sha256, file_sha256, no_pause, text_sha256
from recsys.core.errors import DataError
from recsys.core.machine import versions

FORMAT = 1
_MANIFEST = "manifest.json"
_GOLDEN = "golden.json"
_CARDS = ("index_card.json", "model_card.json")


def check_files(path: Path, hashes: bool = True) -> None:
    """Compare the files of a bundle with its manifest. Raises DataError naming the first that
    differs.
    """
    for name, facts in _manifest_of(path).items():
        file = path / name
        _require_size(path, name, facts)
        if hashes and file_sha256(file) != facts["sha256"]:
            raise _changed(path, name)


def copy_checked(path: Path, copy: Path, between: Callable[[], None] = no_pause) -> None:
    """Copy a bundle into the new folder `copy`, with its hashes checked on the way; `between` is
    called after each MB.

    Raises DataError naming the first file that differs from the manifest.
    """
    files = _manifest_of(path)
    for name, facts in files.items():
        _require_size(path, name, facts)
    copy.mkdir()
    with as_data_error(path):
        shutil.copy2(path / _MANIFEST, copy)
        for name, facts in files.items():
            if copy_sha256(path / name, copy / name, between) != facts["sha256"]:
                raise _changed(path, name)


def _manifest_of(path: Path) -> dict[str, dict[str, Any]]:
    """Facts by file name. Raises DataError for what is not a bundle of this format."""
    if not (path / _MANIFEST).exists():
        raise DataError(
            f"{str(path)!r} is not a bundle: it has no {_MANIFEST}", "Make one with recsys index"
        )
    with as_data_error(path):
        manifest = load_document(path / _MANIFEST)
        written_as = manifest["format"]
        files = dict(manifest["files"])
    if written_as != FORMAT:
        raise DataError(
            f"bundle {str(path)!r} has format {written_as}, this version reads {FORMAT}",
            "Write it again",
        )
    return files


def _require_size(path: Path, name: str, facts: Mapping[str, Any]) -> None:
    file = path / name
    if not file.is_file():
        raise DataError(f"bundle {str(path)!r} lacks {name}", "Write it again with recsys index")
    if file.stat().st_size != facts["bytes"]:
        raise _changed(path, name)


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
        address = _address(folder)
        save_document(folder / _MANIFEST, _manifest(folder, address))
    path = bundles / address[:12]
    if (path / _MANIFEST).exists():
        shutil.rmtree(staging)
    else:
        staging.replace(path)
    return path


def _manifest(folder: Path, address: str) -> dict[str, Any]:
    facts = {}
    for file in sorted(folder.iterdir()):
        if file.name != _MANIFEST:
            facts[file.name] = {"sha256": file_sha256(file), "bytes": file.stat().st_size}
    return {"format": FORMAT, "address": address, "files": facts, "versions": versions()}


def _address(folder: Path) -> str:
    """Hash of what a bundle answers from: timings on the cards, and the answers themselves, do not
    move it.
    """
    lines = []
    for file in sorted(folder.iterdir()):
        if file.name in _CARDS:
            card = load_document(file)
            card.pop("measured", None)
            lines.append(f"{file.name}\0{text_sha256(repr(sorted(card.items())))}")
        elif file.name not in (_MANIFEST, _GOLDEN):
            lines.append(f"{file.name}\0{file_sha256(file)}")
    return text_sha256("\n".join(lines))

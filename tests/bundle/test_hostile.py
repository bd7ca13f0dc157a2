"""Bundles from elsewhere, damaged or made to harm: none is read, and nothing outside is touched."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys.bundle.bundle import Bundle
from recsys.bundle.files import check_files, copy_checked
from recsys.core.artefacts import RunFolder, file_sha256
from recsys.core.errors import DataError
from recsys.releases import life_cycle
from serving import state
from worlds import make_contents, write_world

Manifest = dict[str, Any]
NAMES = [
    "../outside.txt",
    "../../outside.txt",
    "{root}/outside.txt",
    "folder/../../outside.txt",
    "folder/inside.txt",
    "./inside.txt",
    "inside.txt/",
    "/",
    "..",
    ".",
    "",
    ".hidden",
    "..\\outside.txt",
    "C:\\outside.txt",
    "nul\0.txt",
    "new\nline.txt",
    "bell\a.txt",
    "\u202etxt.elif",
    "manifest.json",
    "~/outside.txt",
]
VALUES: list[tuple[str, object]] = [
    ("format", "one"),
    ("format", None),
    ("format", 2),
    ("format", -1),
    ("address", None),
    ("address", 7),
    ("address", "0" * 64),
    ("address", "../" * 16),
    ("address", ""),
    ("files", None),
    ("files", []),
    ("files", {}),
    ("files", {"users.parquet": None}),
    ("files", {"users.parquet": {"bytes": 1}}),
    ("files", {"users.parquet": {"sha256": "0" * 64}}),
    ("files", {"users.parquet": {"sha256": "0" * 63 + "/", "bytes": 1}}),
    ("files", {"users.parquet": {"sha256": "0" * 64, "bytes": -1}}),
    ("files", {"users.parquet": {"sha256": "0" * 64, "bytes": 1e300}}),
    ("written", "yesterday"),
    ("written", 1e300),
]
TEXTS = ["", "null", "[]", '"text"', "{", "[" * 100_000, '{"format": NaN}', "\ufeff{}", "{}"]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("good"), make_contents())


@pytest.fixture
def root(tmp_path: Path, good: Path) -> Path:
    """A folder with a good bundle in run/bundles/, and a file that nobody may touch."""
    (tmp_path / "outside.txt").write_text("mine")
    shutil.copytree(good, tmp_path / "run/bundles" / good.name)
    return tmp_path


@pytest.fixture
def bundle(root: Path) -> Path:
    [path] = (root / "run/bundles").iterdir()
    return path


def manifest_of(bundle: Path) -> Manifest:
    manifest: Manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def write_manifest(bundle: Path, manifest: Manifest) -> None:
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def refused_everywhere(root: Path, bundle: Path) -> None:
    """No way to a bundle reads this one, or writes anything."""
    before = sorted(root.rglob("*"))
    copy = root / "copy"
    folder = RunFolder(root / "run")
    ways: list[Callable[[], object]] = [
        lambda: check_files(bundle),
        lambda: check_files(bundle, hashes=False),
        lambda: Bundle.load(bundle),
        lambda: state.load(bundle),
        lambda: life_cycle.promote(folder, bundle.name),
    ]
    for way in ways:
        with pytest.raises(DataError):
            way()
    with pytest.raises(DataError):
        copy_checked(bundle, copy)
    shutil.rmtree(copy, ignore_errors=True)
    (root / "run/.switch.lock").unlink()
    assert sorted(root.rglob("*")) == before
    assert (root / "outside.txt").read_text() == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_leads_elsewhere(root: Path, bundle: Path, name: str) -> None:
    manifest = manifest_of(bundle)
    name = name.format(root=root)
    manifest["files"][name] = {"sha256": file_sha256(root / "outside.txt"), "bytes": 4}
    write_manifest(bundle, manifest)
    refused_everywhere(root, bundle)
    with pytest.raises(DataError, match="names a file"):
        check_files(bundle)


@pytest.mark.parametrize(("key", "value"), VALUES, ids=str)
def test_a_manifest_with_another_value(root: Path, bundle: Path, key: str, value: object) -> None:
    write_manifest(bundle, {**manifest_of(bundle), key: value})
    if (key, value) == ("address", "0" * 64):  # its files are whole: what they say is compared
        with pytest.raises(DataError, match="its manifest says 000000000000"):
            check_files(bundle)
        with pytest.raises(DataError, match="its manifest says"):
            state.load(bundle)
        return
    refused_everywhere(root, bundle)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:10])
def test_a_manifest_that_is_none(root: Path, bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text, encoding="utf-8")
    refused_everywhere(root, bundle)


def test_links_are_not_followed(root: Path, bundle: Path) -> None:
    file = bundle / "users.parquet"
    shutil.copy(file, root / "users.parquet")
    file.unlink()
    file.symlink_to(root / "users.parquet")
    refused_everywhere(root, bundle)
    with pytest.raises(DataError, match=r"users.parquet .* is no plain file.*cp -rL"):
        check_files(bundle)


def test_a_copy_without_links_is_read(root: Path, bundle: Path) -> None:
    """The remedy of the test above."""
    file = bundle / "users.parquet"
    shutil.copy(file, root / "users.parquet")
    file.unlink()
    file.symlink_to(root / "users.parquet")
    copy = root / "elsewhere" / bundle.name
    shutil.copytree(bundle, copy, symlinks=False)
    assert Bundle.load(copy).name == bundle.name


def test_a_linked_manifest_is_none(root: Path, bundle: Path) -> None:
    shutil.move(bundle / "manifest.json", root / "manifest.json")
    (bundle / "manifest.json").symlink_to(root / "manifest.json")
    refused_everywhere(root, bundle)


def test_a_pipe_is_not_waited_for(root: Path, bundle: Path) -> None:
    (bundle / "users.parquet").unlink()
    os.mkfifo(bundle / "users.parquet")
    refused_everywhere(root, bundle)


def test_a_file_that_nobody_listed(root: Path, bundle: Path) -> None:
    (bundle / "popularity_recent.npy").write_bytes(b"")
    refused_everywhere(root, bundle)
    with pytest.raises(DataError, match=r"'popularity_recent.npy', which its manifest does not"):
        check_files(bundle)
    (bundle / "popularity_recent.npy").unlink()  # as the remedy says
    check_files(bundle)


def test_an_edited_card_does_not_pass_the_gate(root: Path, bundle: Path) -> None:
    """Its hash in the manifest renewed: the content is another, and so would be the name."""
    card = bundle / "model_card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "never_worse": True}))
    manifest = manifest_of(bundle)
    manifest["files"][card.name] = {"sha256": file_sha256(card), "bytes": card.stat().st_size}
    write_manifest(bundle, manifest)
    for way in (check_files, state.load):
        with pytest.raises(DataError, match="its content has the address"):
            way(bundle)
    with pytest.raises(DataError, match="its content has the address"):
        life_cycle.promote(RunFolder(root / "run"), bundle.name)
    assert not (root / "run/bundle").exists()


def test_another_name(root: Path, bundle: Path) -> None:
    other = bundle.rename(bundle.with_name("c" * 12))
    for way in (check_files, state.load):
        with pytest.raises(DataError, match=f"Rename its folder to {bundle.name}"):
            way(other)
    other.rename(bundle)
    assert state.load(bundle).version == bundle.name


def test_a_copy_keeps_the_time_of_its_writing(root: Path, bundle: Path) -> None:
    copy = root / "copies" / bundle.name
    shutil.copytree(bundle, copy, copy_function=shutil.copyfile)
    os.utime(copy / "manifest.json", (1_900_000_000, 1_900_000_000))
    assert state.load(copy).written == state.load(bundle).written

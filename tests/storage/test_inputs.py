"""Inputs at URLs: what is brought, what is brought again, and what is not."""

from pathlib import Path

import pytest

from chain import Heard
from object_stores import put
from recsys.core.errors import DataError, MachineError
from recsys.storage import cache, inputs
from recsys.storage.inputs import Snapshot, bring, version_of
from recsys.storage.store import Store


def contents(snapshot: Snapshot) -> dict[str, bytes]:
    """By name below the snapshot's folder."""
    files = sorted(path for path in snapshot.folder.rglob("*") if path.is_file())
    return {path.relative_to(snapshot.folder).as_posix(): path.read_bytes() for path in files}


def test_an_object_a_folder_and_a_pattern(url: str, tmp_path: Path) -> None:
    files = {"day=1/a.csv": b"1", "day=2/a.csv": b"2", "day=2/b.txt": b"3", "d/e/c.csv": b"4"}
    put(Store(url), files, tmp_path)
    single = bring(f"{url}/day=1/a.csv")
    assert Path(single.path).read_bytes() == b"1" and Path(single.path).name == "a.csv"
    assert contents(bring(url)) == files == contents(bring(f"{url}/"))
    assert sorted(contents(bring(f"{url}/day=*/*.csv"))) == ["day=1/a.csv", "day=2/a.csv"]
    assert sorted(contents(bring(f"{url}/**/*.csv"))) == ["d/e/c.csv", "day=1/a.csv", "day=2/a.csv"]
    assert sorted(contents(bring(f"{url}/day=[!1]/[ab].*"))) == ["day=2/a.csv", "day=2/b.txt"]
    assert sorted(contents(bring(url, lambda key: key.endswith(".txt")))) == ["day=2/b.txt"]


def test_a_second_look_brings_what_is_new_and_changed(url: str, tmp_path: Path) -> None:
    store, heard = Store(url), Heard()
    put(store, {"day=1": b"one", "day=2": b"two", "day=3": b"three"}, tmp_path)
    first = bring(url)
    before = version_of(url)
    put(store, {"day=2": b"TWO", "day=4": b"four"}, tmp_path)
    store.delete(["day=3"])
    second = bring(url, progress=heard)
    assert (first.brought, first.kept, second.brought, second.kept) == (3, 0, 2, 1)
    assert contents(second) == {"day=1": b"one", "day=2": b"TWO", "day=4": b"four"}
    # Whoever still reads the first snapshot is not disturbed.
    assert contents(first) == {"day=1": b"one", "day=2": b"two", "day=3": b"three"}
    assert "bringing 2 of 3 files" in heard.text
    assert version_of(url) != before
    third = bring(url, progress=heard)
    assert third.folder == second.folder and third.brought == 0 and len(heard.lines) == 1


def test_two_snapshots_are_kept(url: str, tmp_path: Path) -> None:
    for number in range(4):
        put(Store(url), {"log": bytes([number])}, tmp_path)
        snapshot = bring(url)
    kept = [path for path in snapshot.folder.parents[1].iterdir() if path.is_dir()]
    assert len(kept) == 2 and contents(snapshot) == {"log": b"\x03"}


def test_nothing_there_is_told(url: str) -> None:
    with pytest.raises(DataError, match=r"there is no file 's3://shop/.*nothing'"):
        bring(f"{url}/nothing")
    with pytest.raises(DataError, match="there is no bucket 'nowhere'"):
        bring("s3://nowhere/log.csv")


def test_names_that_lead_out_of_the_folder_are_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = inputs.Entry("../../evil", 1, "tag")
    monkeypatch.setattr(Store, "entries", lambda self: [entry])
    with pytest.raises(DataError, match="whose name is that of no file"):
        bring(f"{url}/")


def test_what_does_not_fit_on_the_disk_is_refused_before_it_comes(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(Store(url), {"log": b"12345"}, tmp_path)
    monkeypatch.setattr(cache, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(MachineError, match=r"takes 0\.0 GB, and .* free") as caught:
        bring(url)
    assert "RECSYS_CACHE" in caught.value.remedy

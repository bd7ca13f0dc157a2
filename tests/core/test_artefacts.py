import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.core.artefacts import (
    RunFolder,
    atomic_file,
    atomic_folder,
    content_sha256,
    read_json,
    switch_link,
    write_json,
)
from recsys.core.errors import MachineError, UsageError


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(ZeroDivisionError), atomic_file(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with atomic_file(target) as part:
        part.write_text("whole")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "graph"
    for text in ("old", "new"):
        with atomic_folder(target) as part:
            (part / "x").write_text(text)
    with pytest.raises(ZeroDivisionError), atomic_folder(target) as part:
        (part / "x").write_text("broken")
        raise ZeroDivisionError
    assert (target / "x").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_explained(tmp_path: Path, code: int) -> None:
    with pytest.raises(MachineError, match="cannot write"), atomic_file(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with (
        pytest.raises(MachineError, match="A folder is there"),
        atomic_file(tmp_path / "a") as part,
    ):
        part.write_text("x")
    with pytest.raises(MachineError, match="A file is there"):
        write_json(tmp_path / "b", {})
        write_json(tmp_path / "b" / "c", {})
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a", tmp_path / "b"]


def test_a_disk_that_refuses_polars_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No space left"), atomic_folder(tmp_path / "a"):
        raise OSError("No space left on device (os error 28)")
    with pytest.raises(OSError, match="odd"), atomic_folder(tmp_path / "a"):
        raise OSError("odd")


def test_whoever_may_read_the_folder_may_read_its_files(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as part:
        (part / "b").mkdir(mode=0o700)
        (part / "b" / "secretive").touch(mode=0o600)
    assert (tmp_path / "a" / "b" / "secretive").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o755


def test_content_hash_sees_names_and_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "x.json", {"b": 1})
    before = content_sha256(tmp_path / "a")
    assert read_json(tmp_path / "a" / "x.json") == {"b": 1}
    (tmp_path / "a" / "x.json").rename(tmp_path / "a" / "y.json")
    assert content_sha256(tmp_path / "a") != before


def test_link_switches(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        switch_link(tmp_path / "bundle", tmp_path / name)
        assert (tmp_path / "bundle").resolve().name == name


HOLD = """
import sys, pathlib
from recsys.core.artefacts import RunFolder
with RunFolder(pathlib.Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_on_the_folder_names_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=str(holder.pid)), RunFolder(tmp_path).locked():
            pass
        holder.kill()


def test_the_holder_sweeps_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / ".graph.x.tmp").mkdir()
    with RunFolder(tmp_path).locked():
        assert not (tmp_path / ".graph.x.tmp").exists()


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json"):
        RunFolder.existing(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("parquet: underlying IO error: No space left on device (os error 28)"),
        OSError("12000 requested and 512 written"),
        RuntimeError("Error in index write: No space left on device"),
    ],
)
def test_a_full_disk_is_told_alike_whatever_library_writes(
    tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(MachineError, match="disk is full"), atomic_folder(tmp_path / "out"):
        raise error
    assert not list(tmp_path.iterdir())


def test_other_errors_go_through_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="os error 2"), atomic_folder(tmp_path / "out"):
        raise ValueError("no such file (os error 2)")

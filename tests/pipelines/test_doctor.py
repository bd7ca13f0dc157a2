import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines import doctor


def test_this_environment_is_healthy(tmp_path: Path) -> None:
    checks = doctor.examine(tmp_path / "not" / "yet" / "there")
    assert [check for check in checks if check.status == "fail"] == []
    found = doctor.document(checks)
    assert found["healthy"]
    assert found["versions"]["torch"] != "absent"
    assert not (tmp_path / "not").exists()


def test_a_missing_package_fails_and_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_REQUIRED", ("surely_not_a_package",))
    monkeypatch.setattr(doctor, "_dgl", lambda: doctor.Check("import dgl", "ok", ""))
    check = next(check for check in doctor.examine(Path()) if "surely" in check.name)
    assert check.status == "fail" and check.remedy
    assert not doctor.document([check])["healthy"]


def test_a_broken_dgl_does_not_take_the_doctor_down(monkeypatch: pytest.MonkeyPatch) -> None:
    crash = SimpleNamespace(returncode=-11, stdout="", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: crash)
    assert doctor._dgl().status == "fail"


@pytest.mark.parametrize("version", [(3, 12), (3, 14)])
def test_a_later_python_lacks_nothing(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (*version, 0))
    assert doctor._python().status == "ok"
    assert doctor._dgl().status == "ok" and "plain sampler" in doctor._dgl().found


def test_unwritable_folder_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    check = doctor._writable(tmp_path)
    assert (check.status, check.remedy) == ("fail", "Choose another --out")

"""The distribution: what a wheel holds, and that it works in an environment of its own."""

import hashlib
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(_source_copy(folder)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def _source_copy(folder: Path) -> Path:
    """Tracked and new sources alone: building in the checkout would leave a build folder there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    copy = folder / "source"
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return copy


def test_wheel_holds_every_module_and_no_stray_top_level(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"recsys", "pipelines", "serving"}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("recsys", "pipelines", "serving")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".toml", ".json", ".j2", ".css", ".js", ".html"}
    }
    assert sources <= set(names)


def test_dependencies_are_bounded_and_torch_stays_on_the_cpu_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    torch = next(line for line in project["dependencies"] if line.startswith("torch"))
    assert torch == "torch>=2.13,<2.14"
    # A marker keeps pip from looking for it where no wheel is published.
    assert "dgl==1.1.3; python_version < '3.12'" in project["dependencies"]
    assert project["requires-python"] == ">=3.11"


@pytest.mark.slow
def test_what_would_be_uploaded_is_in_order(wheel: Path, tmp_path: Path) -> None:
    """Twine reads the metadata as an index would; the sdist builds the same wheel again."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path]
    subprocess.run([*build, "--sdist", _source_copy(tmp_path)], check=True, capture_output=True)
    [sdist] = tmp_path.glob("*.tar.gz")
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path / "unpacked"], check=True)
    [unpacked] = (tmp_path / "unpacked").iterdir()
    subprocess.run([*build, "--wheel", unpacked], check=True, capture_output=True)
    [again] = tmp_path.glob("*.whl")
    assert _hashes(again) == _hashes(wheel)


def _hashes(wheel: Path) -> dict[str, str]:
    """By module and data file, what a wheel holds."""
    archive = zipfile.ZipFile(wheel)
    names = [name for name in archive.namelist() if ".dist-info/" not in name]
    return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


@pytest.mark.slow
def test_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Plain pip into a new environment, then the whole chain from a folder that is no checkout."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    # -I: what PYTHONPATH names counts as installed.
    subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "MPLCONFIGDIR": str(tmp_path / "mpl"),
    }
    command = [python.with_name("recsys"), "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []

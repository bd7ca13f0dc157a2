"""Third-party tools of the slow tests, installed from lock files into pytest's cache, once for each lock file."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REQUIRED = "RECSYS_NPM"
"""Environment variable: "required" turns the skip into a failure."""

_LOCKS = Path(__file__).parents[1] / "serving" / "generated"


def python_tools(config: pytest.Config) -> Path:
    """The folder of programs of an environment with openapi-python-client."""
    lock = _LOCKS / "requirements.txt"
    folder = _folder(config, "python", lock)
    if not (folder / "done").exists():
        shutil.rmtree(folder)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin/pip"), "install", "--quiet", "--no-deps", "-r", str(lock)])
        (folder / "done").touch()
    return folder / "bin"


def node_tools(config: pytest.Config) -> Path:
    """A folder with node_modules: openapi-typescript, openapi-fetch, typescript, redocly, autocannon.

    Skips the test where there is no npm.
    """
    if shutil.which("npm") is None:
        (pytest.fail if os.environ.get(REQUIRED) == "required" else pytest.skip)(
            "no npm here; on Debian: apt-get install npm"
        )
    folder = _folder(config, "node", _LOCKS / "package-lock.json")
    if not (folder / "done").exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_LOCKS / name, folder)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--cache", str(folder / "cache")]
        _run(["npm", "ci", *quiet], folder)
        (folder / "done").touch()
    return folder


def _folder(config: pytest.Config, name: str, lock: Path) -> Path:
    assert config.cache is not None
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    return config.cache.mkdir(f"{name}-{digest}")


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

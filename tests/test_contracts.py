"""The architecture is executable: the import contracts hold, and each one catches a planted slip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("recsys", "pipelines", "serving")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).parent / "lint-imports"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [
        sys.executable,
        str(linter),
        "--no-cache",
        "--config",
        str(folder / "pyproject.toml"),
    ]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources that a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_contracts_hold(tree: Path) -> None:
    result = _lint(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "slip", "broken"),
    [
        ("recsys/core/ids.py", "import recsys.logs", "dependencies point one way BROKEN"),
        (
            "recsys/train/__init__.py",
            "import recsys.evaluate.metrics",
            "dependencies point one way BROKEN",
        ),
        (
            "recsys/core/ids.py",
            "import pipelines",
            "the library imports neither application BROKEN",
        ),
        (
            "serving/__init__.py",
            "import recsys.train",
            "serving uses the packages that answer, and none that trains BROKEN",
        ),
        ("recsys/search/exact.py", "import torch", "lookup runs without torch and dgl BROKEN"),
        ("recsys/evaluate/metrics.py", "import dgl", "only the graph folder imports dgl BROKEN"),
        ("recsys/bundle/export.py", "import faiss", "FAISS stands behind the searcher BROKEN"),
        ("serving/service.py", "import faiss", "FAISS stands behind the searcher BROKEN"),
        ("recsys/search/tuning.py", "import faiss", "FAISS stands behind the searcher BROKEN"),
        (
            "recsys/logs/check_report.py",
            "import recsys.logs.check",
            "no circles inside a package BROKEN",
        ),
        (
            "recsys/model/layer.py",
            "import recsys.graph.sampling",
            "the model reads the graph's schema and nothing else of it BROKEN",
        ),
    ],
)
def test_planted_slip_is_caught(tree: Path, module: str, slip: str, broken: str) -> None:
    path = tree / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{slip}\n", encoding="utf-8")
    result = _lint(tree)
    assert result.returncode != 0
    assert broken in result.stdout


@pytest.mark.parametrize(
    "module",
    [
        "recsys",
        "recsys.core.config",
        "recsys.lookup.lookup",
        "recsys.baselines.catalogue",
        "pipelines.cli",
    ],
)
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('torch', 'dgl', 'matplotlib') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

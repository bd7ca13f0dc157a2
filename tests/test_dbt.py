"""The example for dbt, run as its page says: what dbt builds is what a run reads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "dbt"
SMALL = (
    "train.epochs=1",
    "model.width=8",
    "model.heads=2",
    "evaluate.bootstrap=100",
    'evaluate.baselines=["popularity"]',
)


@pytest.mark.slow
def test_what_dbt_builds_is_what_a_run_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dbt = shutil.which("dbt")
    if dbt is None:
        pytest.skip("dbt is not installed")
    pytest.importorskip("duckdb")
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "dbt"
    shutil.copytree(EXAMPLE, folder)
    subprocess.run(
        [sys.executable, ROOT / "examples" / "make_orders.py", folder / "shop"], check=True
    )
    (first, nothing), (new, kept) = _built_and_run(dbt, folder), _built_on_the_next_day(dbt, folder)
    assert nothing == 0 and new + kept == first + 1 and new < kept


def _built_on_the_next_day(dbt: str, folder: Path) -> tuple[int, int]:
    """The same with one order more."""
    with (folder / "shop" / "orders.csv").open("a", encoding="utf-8") as orders:
        orders.write("c0206,P035,2025-10-29 08:00:00,1\n")
    return _built_and_run(dbt, folder)


def _built_and_run(dbt: str, folder: Path) -> tuple[int, int]:
    """Rows that the database was asked for, and those that were kept from the run before."""
    quiet = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    built = subprocess.run(
        [dbt, "build"], cwd=folder, env=quiet, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout
    command = [sys.executable, "-m", "pipelines.cli", "run", "shop.toml", "--out", "run"]
    command += ["--no-first", "--threads", "1", "--json"]
    for setting in SMALL:
        command += ["--set", setting]
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 4), ran.stderr
    assert json.loads(ran.stdout)["report"]
    counts = re.search(r"returned ([\d,]+) rows since (\S+).*; ([\d,]+) of before", ran.stderr)
    assert counts, ran.stderr
    return int(counts[1].replace(",", "")), int(counts[3].replace(",", ""))

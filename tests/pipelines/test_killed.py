"""Killed hard in any stage, the next run goes on and ends with the same result."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chain import Settings
from pipelines.run import run
from recsys.core.artefacts import content_sha256, read_json
from recsys.core.config import RunConfig
from recsys.evaluate.document import Report

_RUN = (
    "import sys; from pathlib import Path; from pipelines.console import JsonLines; from pipelines.run import run;"
    "from recsys.core.config import build_config; import json;"
    "run(build_config(json.loads(sys.argv[1])), Path(sys.argv[2]), JsonLines())"
)


def start(config: RunConfig, out: Path) -> "subprocess.Popen[str]":
    """A run in a process of its own, telling its progress as JSON lines."""
    command = [sys.executable, "-W", "ignore", "-c", _RUN, config.model_dump_json(), str(out)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def heard(process: "subprocess.Popen[str]") -> list[dict[str, object]]:
    """What a process says until its end, which must be good."""
    _, text = process.communicate()
    assert process.returncode == 0, text
    return [json.loads(line) for line in text.splitlines()]


def kill_when(
    process: "subprocess.Popen[str]",
    wanted: Callable[[dict[str, object]], bool],
    after: float = 0.0,
) -> None:
    assert process.stderr
    for line in process.stderr:
        if wanted(json.loads(line)):
            time.sleep(after)
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL


def result(out: Path) -> dict[str, object]:
    """What a run is for: the figures of every model and the bundle that it serves."""
    report = Report.load(out / "report/report.json")
    figures = {
        row.name: {name: value.value for name, value in row.metrics.items()}
        for row in report.models
    }
    vectors = content_sha256(out / "bundle/search_vectors.npy")
    return {"figures": figures, "bundle": (out / "bundle").resolve().name, "vectors": vectors}


@pytest.fixture(scope="module")
def config(settings: Settings, world: Path) -> RunConfig:
    return settings(world, "train.epochs=4")


@pytest.fixture(scope="module")
def undisturbed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(config, out)
    return result(out)


def test_training_goes_on_from_its_checkpoint(
    config: RunConfig, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    kill_when(start(config, out), lambda line: line.get("epoch") == 2)
    assert list((out / "checkpoint/resume").rglob("*.safetensors"))
    assert read_json(out / "manifest.json")["status"] == "running"
    said = heard(start(config, out))
    assert any("continuing after epoch" in str(line.get("message")) for line in said)
    assert result(out) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage",
    [
        "ingest",
        "split",
        "graph-select",
        "train-select[lightgcn]",
        "tune[itemknn]",
        "train-final[model]",
        "index-final",
        "report",
        "train-serve[model]",
        "bundle",
    ],
)
@pytest.mark.parametrize("after", [0.0, 0.05])
def test_killed_in_any_stage(
    config: RunConfig, undisturbed: dict[str, object], tmp_path: Path, stage: str, after: float
) -> None:
    out = tmp_path / "run"
    kill_when(
        start(config, out),
        lambda line: line.get("stage") == stage and line.get("skipped") is False,
        after,
    )
    assert not (out / "bundle").exists() or stage == "bundle"
    heard(start(config, out))
    assert result(out) == undisturbed
    assert not list(out.rglob("*.tmp*"))
    assert (
        not list((out / "checkpoint/resume").iterdir())
        if (out / "checkpoint/resume").exists()
        else True
    )


def test_ctrl_c_is_exit_130_and_leaves_nothing_half_written(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "pipelines.cli",
        "run",
        "--log",
        str(world / "log.parquet"),
        "--out",
        str(out),
        "--log-json",
        "--threads",
        "1",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if '"epoch": 1' in line:
            process.send_signal(signal.SIGINT)
            break
    _, rest = process.communicate()
    assert process.returncode == 130
    assert "goes on from here" in rest
    assert not list(out.rglob("*.tmp*"))

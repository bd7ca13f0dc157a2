"""A run that torchrun starts in two processes is the run of one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from patience import PATIENCE_SECONDS, eventually
from pipelines.places import MODEL, TRAINED
from pipelines.run import run
from pipelines.under_torchrun import group_keys
from recsys.core.config import load_config
from recsys.core.errors import UsageError
from recsys.logs.synthetic import communities

_CONFIG = """
name = "tiny"
threads = 1
first = false

[data]
log = "log.parquet"
time_col = "timestamp"

[model]
width = 8
heads = 2
user_table = true

[train]
epochs = {epochs}
patience = 1000
batch_size = 256
negatives = 16
"""


def world(folder: Path, epochs: int) -> Path:
    """A configuration beside its log."""
    log = communities(num_users=60, num_items=40, events_per_user=12).log
    log.write_parquet(folder / "log.parquet")
    config = folder / "tiny.toml"
    config.write_text(_CONFIG.format(epochs=epochs))
    return config


def torchrun(config: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """As on the page of docs, on loopback."""
    words = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2", *flags]
    command = ["-m", "pipelines.cli", "train", config.name, "--out", str(out), "--quiet"]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *words, *command],
        cwd=config.parent,
        stderr=subprocess.PIPE,
        text=True,
    )


def vectors(out: Path) -> dict[str, np.ndarray]:
    """What the training left."""
    files = sorted((out / TRAINED.format(phase="select", bucket=MODEL)).glob("*.npy"))
    assert files
    return {file.name: np.load(file) for file in files}


def alone(config: Path, out: Path) -> dict[str, np.ndarray]:
    """Of one process."""
    run(load_config(config), out, until="train-select")
    return vectors(out)


@pytest.mark.slow
def test_two_processes_of_torchrun_train_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = world(tmp_path, epochs=3)
    monkeypatch.chdir(tmp_path)
    process = torchrun(config, tmp_path / "together")
    _, text = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, text
    wanted = alone(config, tmp_path / "alone")
    for name, array in vectors(tmp_path / "together").items():
        np.testing.assert_allclose(array, wanted[name], atol=1e-4)


@pytest.mark.slow
def test_torchrun_starts_all_again_when_one_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = world(tmp_path, epochs=40)
    monkeypatch.chdir(tmp_path)
    process = torchrun(config, tmp_path / "together", "--max-restarts", "1")
    resume = tmp_path / "together/checkpoint/resume"
    eventually(lambda: bool(list(resume.rglob("checkpoint.safetensors"))), "no checkpoint")
    [follower] = [child for child in psutil.Process(process.pid).children() if is_second(child)]
    os.kill(follower.pid, signal.SIGKILL)
    _, text = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, text
    wanted = alone(config, tmp_path / "alone")
    for name, array in vectors(tmp_path / "together").items():
        np.testing.assert_allclose(array, wanted[name], atol=1e-4)


def is_second(process: psutil.Process) -> bool:
    return process.environ().get("RANK") == "1"


def test_flags_that_do_not_go_with_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert group_keys(4, "ray") == {"group.workers": 4, "group.launcher": "ray"}
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert group_keys(None) == {"group.workers": 2}
    with pytest.raises(UsageError, match="torchrun started 2 processes"):
        group_keys(4)
    with pytest.raises(UsageError, match="--runner ray"):
        group_keys(None, "ray")

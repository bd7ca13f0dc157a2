"""A training by workers of Ray Train ends as that of one process, whatever happens to a worker."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chain import Heard
from groups import Case, Kill, outcome_of, train_cases, train_resumed, trained_in
from pipelines.ray_runner import RayRunner
from recsys.core.config.group import GroupConfig
from recsys.core.errors import DataError, MachineError
from recsys.train.launch import run_group

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray by Ray
]

CASES = [
    Case("seconds", {"user_table": True}, {}),
    Case("seconds", {"user_table": True}, {"shard_tables": True}),
]


def group(**settings: Any) -> GroupConfig:
    return GroupConfig(workers=2, launcher="ray", **{"timeout_seconds": 120, **settings})


@pytest.fixture(autouse=True)
def complete(runner: RayRunner) -> None:
    """Connected to a cluster whose nodes all run."""


def test_two_workers_train_as_one_process(tmp_path: Path) -> None:
    run_group(train_cases, (CASES, tmp_path), group(restarts=0), tmp_path)
    for number, case in enumerate(CASES):
        alone = outcome_of(case)
        for rank in range(2):
            outcome = torch.load(tmp_path / f"{number}-{rank}.pt", weights_only=False)
            np.testing.assert_allclose(outcome.losses, alone.losses, atol=1e-5)
            np.testing.assert_allclose(outcome.users, alone.users, atol=1e-4)


@pytest.mark.parametrize("shard_tables", [False, True])
def test_a_killed_worker_changes_nothing(
    shard_tables: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group goes on from its last checkpoint."""
    monkeypatch.chdir(tmp_path)
    settings = {"shard_tables": shard_tables}
    heard = Heard()
    (tmp_path / "killed").mkdir()
    arguments = (tmp_path / "killed", settings, None, Kill(rank=1, epoch=4))
    run_group(train_resumed, arguments, group(restarts=2), Path("told"), heard)
    assert "goes on from its last checkpoint (restart 1)" in heard.text
    assert re.search("continuing after epoch [34]", heard.text)
    ended = trained_in(tmp_path / "killed", settings)
    undisturbed = trained_in(tmp_path / "alone", settings)
    assert [record.epoch for record in ended.history] == [1, 2, 3, 4, 5, 6]
    for record, other in zip(ended.history, undisturbed.history, strict=True):
        assert record.loss == pytest.approx(other.loss, abs=1e-5)
    np.testing.assert_allclose(ended.embeddings.users, undisturbed.embeddings.users, atol=1e-4)


class PressesCtrlC(Heard):
    """When the first epoch is done."""

    def say(self, message: str, **fields: object) -> None:
        super().say(message, **fields)
        if fields.get("epoch") == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_group_and_is_no_success(tmp_path: Path) -> None:
    """Ray would leave with exit code 0, and keep its handler for what comes after the training."""
    handler = signal.getsignal(signal.SIGINT)
    arguments = (tmp_path, {"epochs": 10_000})
    with pytest.raises(KeyboardInterrupt):
        run_group(train_resumed, arguments, group(), tmp_path / "told", PressesCtrlC())
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_worker_that_dies_too_often_is_told_in_one_line(tmp_path: Path) -> None:
    arguments = (tmp_path, {}, None, Kill(rank=0, epoch=1, times=9))
    with pytest.raises(MachineError, match="the training group died 2 times") as caught:
        run_group(train_resumed, arguments, group(restarts=1), tmp_path / "told")
    assert "\n" not in caught.value.message


def test_an_error_of_the_data_is_that_of_one_process(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stopped after epoch 2"):
        run_group(train_resumed, (tmp_path, {}, 2), group(restarts=2), tmp_path / "told")

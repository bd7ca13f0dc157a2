"""A tiny world on disk, a finished run of it, and the command line called in this process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from chain import Call, Called, Settings
from flags import require_own_flags
from pipelines.cli import main
from pipelines.run import run
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig, with_overrides
from recsys.logs.synthetic import communities


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line with these arguments: exit code, stdout, stderr."""

    def called(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["recsys", *(str(one) for one in arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        if exit_.value.code:
            require_own_flags([str(one) for one in arguments], captured.err)
        return Called(int(exit_.value.code or 0), captured.out, captured.err)

    return called


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """log.parquet and items.parquet of 80 users in four communities."""
    folder = tmp_path_factory.mktemp("world")
    made = communities(num_users=80, num_items=48, events_per_user=20, seed=3)
    made.log.write_parquet(folder / "log.parquet")
    made.items.write_parquet(folder / "items.parquet")
    return folder


@pytest.fixture(scope="session")
def settings() -> Settings:
    """(folder of the world, "key=value", …) → a configuration that takes seconds."""
    return _settings


def _settings(world: Path, *overrides: str) -> RunConfig:
    """Narrow, two epochs, three baselines."""
    raw: dict[str, Any] = {
        "name": "tiny",
        "threads": 1,
        "first": False,
        "data": {
            "log": str(world / "log.parquet"),
            "items": str(world / "items.parquet"),
            "time_col": "timestamp",
        },
        "split": {"method": "last_share", "test_share": 0.2},
        "model": {"width": 8, "heads": 2},
        "train": {"epochs": 2, "batch_size": 256, "negatives": 32},
        "evaluate": {
            "ks": [5, 10],
            "bootstrap": 100,
            "baselines": ["popularity", "itemknn", "lightgcn"],
        },
        "index": {"k": 5},
    }
    return with_overrides(raw, overrides)


@pytest.fixture(scope="session")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run; tests must not change it."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    run(_settings(world), out)
    return RunFolder(out)

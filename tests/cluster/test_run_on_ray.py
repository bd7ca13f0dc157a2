"""A whole run on a Ray cluster is the run of one process."""

import socket
from pathlib import Path
from typing import Any

import pytest

from pipelines.ray_runner import _require_answer
from pipelines.run import run
from pipelines.runner import Where
from recsys.core.artefacts import read_json
from recsys.core.config import with_overrides
from recsys.core.errors import MachineError
from recsys.core.runners import Runner
from recsys.evaluate.document import Report
from recsys.logs.synthetic import communities

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("world")
    communities(num_users=60, num_items=40, events_per_user=12).log.write_parquet(
        folder / "log.parquet"
    )
    raw = {
        "name": "tiny",
        "threads": 1,
        "first": False,
        "data": {"log": str(folder / "log.parquet"), "time_col": "timestamp"},
        "model": {"width": 8, "heads": 2},
        "train": {"epochs": 1, "batch_size": 256, "negatives": 16},
        "evaluate": {"ks": [5], "bootstrap": 100, "baselines": ["popularity", "itemknn"]},
        "index": {"k": 5},
    }
    return with_overrides(raw, [])


def figures(out: Path) -> dict[str, Any]:
    report = Report.load(out / "report/report.json")
    stages = read_json(out / "manifest.json")["stages"]
    return {
        "models": [row.model_dump(exclude={"seconds"}) for row in report.models],
        "comparisons": [row.model_dump() for row in report.comparisons],
        **{name: stages[name]["outputs"] for name in ("ingest", "split", "test[itemknn]")},
    }


def test_figures_and_intervals_are_those_of_one_process(
    config: Any, tmp_path: Path, runner: Runner
) -> None:
    run(config, tmp_path / "here", where=Where(buckets=3))
    run(config, tmp_path / "ray", where=Where(runner, 3, lasts=True))
    assert figures(tmp_path / "ray") == figures(tmp_path / "here")


def test_an_address_where_nothing_answers_is_told_at_once() -> None:
    pytest.importorskip("ray")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(MachineError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
        _require_answer(f"127.0.0.1:{port}")

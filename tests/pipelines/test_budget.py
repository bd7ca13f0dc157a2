"""A run keeps its budget by leaving out named parts, and says so wherever it is read."""

import json
import threading
from pathlib import Path

import pytest

import pipelines.watch
from chain import Call, Settings
from pipelines.budget import forecast_plan
from pipelines.places import BUDGET
from pipelines.plan import plan
from pipelines.run import run
from pipelines.stages.counts import counts_of
from pipelines.watch import StageWatch
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.errors import ConfigError
from recsys.core.progress import Quiet
from recsys.evaluate.document import Report


@pytest.fixture(scope="module")
def less(settings: Settings, finished: RunFolder, world: Path) -> float:
    """Minutes that are a little less than the tiny run takes."""
    config = settings(world)
    return 0.98 * forecast_plan(plan(config), counts_of(finished), config).seconds / 60


def test_a_budget_leaves_parts_out_and_names_them(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path, less: float
) -> None:
    whole = RunFolder(tmp_path / "run")
    run(settings(world, f"budget_minutes={less}"), whole.path)
    written = read_json(whole.path / BUDGET)
    parts = [part["part"] for part in written["left_out"]]
    assert parts and parts[0] == "twin without attention"

    report = Report.load(whole.path / "report/report.json")
    assert [row.part for row in report.left_out] == parts
    assert report.budget_minutes == pytest.approx(less)
    assert "lightgcn" not in [row.name for row in report.models]
    page = (whole.path / "report/report.html").read_text(encoding="utf-8")
    assert "Left out." in page and parts[0] in page
    card = read_json(whole.path / "bundle/model_card.json")
    assert card["left_out"] == parts
    # What was asked for stays what the run folder says, so that `recsys index` asks for it again.
    assert "lightgcn" in whole.read_manifest()["config"]["evaluate"]["baselines"]


def test_the_same_budget_skips_every_stage_of_a_second_run(
    settings: Settings, world: Path, tmp_path: Path, less: float
) -> None:
    config = settings(world, f"budget_minutes={less}")
    run(config, tmp_path / "run", until="graph-select")
    assert run(config, tmp_path / "run", until="graph-select").ran == []


def test_the_report_shows_forecasts_beside_what_happened(finished: RunFolder) -> None:
    report = Report.load(finished.path / "report/report.json")
    rows = {row.name: row for row in report.stages}
    trained = rows["train-select[model]"]
    assert trained.forecast_seconds and trained.seconds and trained.memory_bytes
    assert trained.disk_bytes and trained.forecast_disk_bytes
    assert rows["bundle"].forecast_seconds and rows["bundle"].seconds is None
    assert set(rows) == set(finished.read_manifest()["order"])
    assert report.left_out == [] and report.budget_minutes is None


def test_too_small_a_budget_is_an_error_that_names_enough(
    settings: Settings, world: Path, tmp_path: Path, less: float
) -> None:
    with pytest.raises(ConfigError) as told:
        run(settings(world, "budget_minutes=0.001"), tmp_path / "run", until="graph-select")
    minutes = told.value.remedy.split("budget_minutes = ")[1].split(",")[0]
    run(settings(world, f"budget_minutes={minutes}"), tmp_path / "run", until="graph-select")


def test_the_forecast_alone_runs_nothing_but_the_counting(
    call: Call, world: Path, tmp_path: Path
) -> None:
    log = str(world / "log.parquet")
    told = call("run", "--log", log, "--time-col", "timestamp", "--out", tmp_path, "--forecast")
    assert told.code == 0
    assert "short stages" in told.out and "all " in told.out
    assert not (tmp_path / "graph").exists()


class Heard(Quiet):
    """Notes what is said, and tells of the first time."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.spoken = threading.Event()

    def say(self, message: str, **fields: object) -> None:
        self.lines.append(message)
        self.spoken.set()


def test_a_long_stage_says_that_it_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.watch, "SECONDS_BETWEEN_LINES", 0.01)
    heard = Heard()
    with StageWatch(RunFolder(tmp_path), heard, "[2/9]", "tune[ease]", {"tune[ease]": 40.0}):
        assert heard.spoken.wait(60)
    assert heard.lines[0].startswith("[2/9] tune[ease]: at work for ")
    assert heard.lines[0].endswith("forecast to take 40 s of processor")
    shown = json.loads(RunFolder(tmp_path).progress.read_text(encoding="utf-8"))
    assert (shown["stage"], shown["forecast_seconds"]) == ("tune[ease]", 40.0)


def test_a_stage_that_fails_ends_its_watch(tmp_path: Path) -> None:
    before = threading.active_count()
    with (
        pytest.raises(ZeroDivisionError),
        StageWatch(RunFolder(tmp_path), Heard(), "[1/1]", "split", {}),
    ):
        raise ZeroDivisionError
    assert threading.active_count() == before

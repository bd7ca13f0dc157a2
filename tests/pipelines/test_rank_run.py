"""A run with a second stage: what validation chose is tested, served and told."""

from pathlib import Path

import numpy as np
import pytest

from chain import Heard, Settings
from pipelines.phases_on_disk import load_phase
from pipelines.places import MODEL, RANK, TEST
from pipelines.plan import plan
from pipelines.run import run
from pipelines.stages.scores import Scored, first_stage_lists
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.noise import Difference
from recsys.evaluate.document import Report
from recsys.lookup.lookup import Lookup

CHANGES = (
    "rank.model=lightgbm",
    "rank.candidates=20",
    "rank.popular=3",
    "rank.neighbours=3",
    "rank.trees=20",
    'evaluate.baselines=["popularity"]',
    "refit=false",
)


def always_better(values: np.ndarray, others: np.ndarray) -> Difference:
    return Difference(float((values - others).mean()) + 1, 0.0)


@pytest.fixture(scope="module")
def ranked(world: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that uses the second stage whatever it is worth."""
    folder = tmp_path_factory.mktemp("ranked") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("recsys.fitting.second_stage.difference", always_better)
        run(settings(world, *CHANGES), folder)
    return RunFolder(folder)


def test_what_is_tested_is_what_is_served(
    world: Path, settings: Settings, ranked: RunFolder
) -> None:
    """At the moment of what was held out."""
    scored = Scored.load(ranked.path / TEST.format(bucket=MODEL))
    before = first_stage_lists(ranked.path / TEST.format(bucket=MODEL))
    assert scored.params["second stage"] == "LightGBM"
    assert before.shape == scored.ranked.shape and (before != scored.ranked).any()
    bundle = Bundle.load(ranked.bundle.resolve())
    assert bundle.second_stage is not None and bundle.second_stage.trees.candidates == 20
    tested = bundle.test_values["user_id"].to_list()
    final = load_phase(ranked.path, settings(world, *CHANGES), "final")
    moments = final.judge.moments[final.judge.held_out_users]
    assert np.isfinite(moments).all() and len(set(moments.tolist())) > 1
    lookup = Lookup(bundle)
    lists = []
    for user, moment in zip(tested, moments.tolist(), strict=True):
        [answer] = lookup.recommend([user], 5, moment=moment)
        lists.append(bundle.items.lookup([item["id"] for item in answer["items"]]))
    assert np.array_equal(np.array(lists), scored.ranked[:, :5])


def test_the_report_tells_both(ranked: RunFolder) -> None:
    report = Report.load(ranked.report / "report.json")
    stage = report.second_stage
    assert stage is not None and stage.used and stage.trees > 0
    assert stage.gain == pytest.approx(1 + stage.validation - stage.validation_without)
    assert stage.test == pytest.approx(report.row("model").metrics["ndcg@5"].value)
    assert stage.difference == pytest.approx(stage.test - stage.test_without)
    assert stage.low <= stage.difference <= stage.high
    page = (ranked.report / "report.html").read_text(encoding="utf-8")
    assert "Second stage" in page
    # The index is compared with the lists that it gives candidates for.
    assert set(report.index.differences.values()) == {0.0}


def test_the_choice_stands_in_the_run_folder(ranked: RunFolder) -> None:
    choice = read_json(ranked.path / RANK / "choice.json")
    assert choice["used"]
    wanted = {"likest_in_history", "goes_with_latest", "since_last", "hour", "item.genres"}
    assert wanted <= set(choice["features"])
    assert choice["columns"]["item"]["genres"]


def test_one_that_does_not_pay_is_left_out(
    world: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.fitting.second_stage.CHOICE_ERRORS", np.inf)
    heard = Heard()
    run(settings(world, *CHANGES), tmp_path / "run", heard)
    assert "left out, it gains no more than noise" in heard.text
    report = Report.load(tmp_path / "run/report/report.json")
    assert report.second_stage is not None and report.second_stage.test is None
    assert Bundle.load((tmp_path / "run/bundle").resolve()).second_stage is None


def test_there_is_no_stage_unless_asked_for(world: Path, settings: Settings) -> None:
    assert "rank" not in [stage.name for stage in plan(settings(world))]

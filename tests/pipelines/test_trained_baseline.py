"""SASRec beside the model: in a run and on the command line, with an order and without."""

import json
from pathlib import Path

import polars as pl
import pytest

from chain import Call, Heard, Settings
from markov import walks
from pipelines.run import run
from recsys.core.artefacts import read_json
from recsys.core.errors import EXIT_BUG
from recsys.core.tables import ITEM_ID, USER_ID
from recsys.evaluate.document import Report


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """log.parquet of users who walk around a ring of items, and a table of these."""
    folder = tmp_path_factory.mktemp("ring")
    train = walks(num_users=120, num_items=20, steps=7).train
    log = pl.DataFrame(
        {
            USER_ID: [f"u{user}" for user in train.user],
            ITEM_ID: [f"i{item}" for item in train.item],
            "position": train.time,
        }
    )
    log.write_parquet(folder / "log.parquet")
    log.select(ITEM_ID).unique(maintain_order=True).write_parquet(folder / "items.parquet")
    return folder


def test_a_run_tunes_it_and_reports_it(ring: Path, settings: Settings, tmp_path: Path) -> None:
    heard = Heard()
    overrides = ["data.time_col=position", "split.method=leave_last", "refit=false"]
    config = settings(ring, *overrides, "evaluate.baselines=['itemknn','sasrec']")
    run(config, tmp_path / "run", heard)
    assert "SASRec: forecast to take up to 0." in heard.text and "ItemKNN: " not in heard.text
    report = Report.load(tmp_path / "run/report/report.json")
    learned, sets = report.row("sasrec"), report.row("itemknn")
    assert learned.title == "SASRec" and learned.validation > 0.9
    assert 1 <= learned.params["epochs"] <= 100
    assert learned.metrics["ndcg@5"].value > sets.metrics["ndcg@5"].value + 0.1
    assert "SASRec" in (tmp_path / "run/report/report.html").read_text(encoding="utf-8")


def test_without_an_order_it_is_left_out_with_the_reason(
    ring: Path, settings: Settings, tmp_path: Path
) -> None:
    log = pl.read_parquet(ring / "log.parquet").drop("position")
    log.write_parquet(tmp_path / "log.parquet")
    (tmp_path / "items.parquet").write_bytes((ring / "items.parquet").read_bytes())
    overrides = ["data.time_col=none", "split.method=random", "evaluate.baselines=['sasrec']"]
    run(settings(tmp_path, *overrides), tmp_path / "run", until="tune")
    [card] = (tmp_path / "run").rglob("sasrec/card.json")
    assert read_json(card)["skipped"] == "the log has no times"


def test_the_command_line_ranks_with_it_and_with_slim(
    call: Call, ring: Path, tmp_path: Path
) -> None:
    log = pl.read_parquet(ring / "log.parquet")
    is_last = pl.col("position") == pl.col("position").max().over(USER_ID)
    log.filter(is_last).write_parquet(tmp_path / "test.parquet")
    log.filter(~is_last).write_parquet(tmp_path / "train.parquet")
    files = ["--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet"]
    order = ["--time-col", "position", "--set", "data.time_unit=order"]
    ordered = [*files, *order, "--k", "5", "--json"]
    short = ["--param", "epochs=15", "--param", "dropout=0.2"]
    learned = call("evaluate", *ordered, "--model", "sasrec", *short)
    sets = call("evaluate", *ordered, "--model", "slim", "--param", "ridge=5")
    assert not learned.code, learned.err
    learned, sets = json.loads(learned.out), json.loads(sets.out)
    assert learned["params"] == {"blocks": 1, "dropout": 0.2, "epochs": 15}
    assert sets["params"] == {"neighbours": 100, "ridge": 5.0}
    assert learned["metrics"]["ndcg@5"] > sets["metrics"]["ndcg@5"] + 0.1

    wrong = call("evaluate", *ordered, "--model", "slim", "--param", "neighbours=0")
    assert wrong.code == 2 and "at least 1" in wrong.err
    wrong = call("evaluate", *ordered, "--model", "sasrec", "--param", "dropout=2")
    assert wrong.code == 2 and "Use 0.4" in wrong.err

    log.filter(~is_last).drop("position").write_parquet(tmp_path / "train.parquet")
    log.filter(is_last).drop("position").write_parquet(tmp_path / "test.parquet")
    unordered = call("evaluate", *files, "--model", "sasrec", *short)
    assert 0 < unordered.code < EXIT_BUG and "--time-col" in unordered.err

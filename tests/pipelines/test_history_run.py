"""The family history through the whole chain: a run, its report, its bundle, and every verb that reads
them.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chain import Call, Settings
from pipelines.run import run
from pipelines.stages.training import title, variant
from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.core.artefacts import RunFolder
from recsys.core.config import ModelConfig
from recsys.encode.fold_in import UserEncoder
from recsys.evaluate.document import Report
from recsys.lookup.lookup import Event, Lookup

HISTORY = ("model.family=history", "model.history=6")
MEAN = "Mean of the history"


@pytest.fixture(scope="module")
def finished_history(
    world: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A finished run whose items have genres; tests must not change it."""
    out = tmp_path_factory.mktemp("runs") / "history"
    changes = (
        'graph.attributes=[{column="genres"}]',
        'evaluate.baselines=["popularity", "lightgcn"]',
        "refit=false",
    )
    run(settings(world, *HISTORY, *changes), out)
    return RunFolder(out)


def test_the_report_shows_the_model_beside_the_mean_of_the_history(
    finished_history: RunFolder,
) -> None:
    report = Report.load(finished_history.report / "report.json")
    rows = {row.name: row for row in report.models}
    assert rows["lightgcn"].title == MEAN and rows["lightgcn"].role == "ablation"
    assert rows["model"].title == "Graph attention"
    assert rows["model"].metrics["ndcg@5"].value > rows["popularity"].metrics["ndcg@5"].value
    assert "γ = 0" not in (finished_history.report / "report.html").read_text(encoding="utf-8")


def test_the_twin_has_neither_attention_nor_order() -> None:
    config = ModelConfig(family="history", user_table=True, history=7)
    twin = variant(config, "lightgcn")
    changes = {"pooling": "mean"}
    assert twin == config.model_copy(update=changes)
    assert variant(config, "model") is config
    assert title(config, "lightgcn") == MEAN
    assert variant(ModelConfig(family="gat"), "lightgcn").family == "degree_prior"
    assert title(ModelConfig(family="gat"), "lightgcn") == "LightGCN (γ = 0, same budget)"


def test_the_bundle_serves_visitors_as_members(finished_history: RunFolder) -> None:
    bundle = Bundle.load(finished_history.bundle)
    assert bundle.encoder.family == "history"
    assert np.load(bundle.path / "user_self.npy").shape[0] == 1
    encoded = UserEncoder(bundle.encoder).encode(bundle.neighbours, np.asarray(bundle.user_self))
    assert np.abs(encoded - bundle.user_vectors).max() < 1e-5
    lookup = Lookup(bundle)
    for user in (0, 11, 40):
        rows = bundle.parts[HistoryRows].histories.of_user(user)
        assert rows.time is not None and len(rows) > 6
        assert bundle.neighbours["rev_interaction"][user].nnz == 6
        items = bundle.items.external(rows.item)
        events = []
        for item, time in zip(items, rows.time.tolist(), strict=True):
            events.append(Event(item, None, time))
        vector = lookup.fold_in(events)
        assert np.abs(vector - bundle.user_vectors[user]).max() < 1e-5
        why = lookup.explain(bundle.users.ids[user], "i9")
        told = sum(part["share"] for part in why["parts"]) + why["rest"]
        assert told == pytest.approx(why["score"], abs=1e-5)


def test_recommend_explain_and_visitors_by_the_command_line(
    finished_history: RunFolder, call: Call
) -> None:
    member = call("recommend", finished_history.path, "--user", "u1", "-k", "4", "--json")
    assert json.loads(member.out)["source"] == "model"
    why = call("explain", finished_history.path, "--user", "u1", "--item", "i9", "--json")
    assert json.loads(why.out)["parts"]
    visitor = call("recommend", finished_history.path, "--history", "i1,i5", "-k", "4", "--json")
    assert json.loads(visitor.out)["source"] == "fold_in"


@pytest.fixture
def folder(finished_history: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the finished run."""
    shutil.copytree(finished_history.path, tmp_path / "run", symlinks=True)
    return RunFolder(tmp_path / "run")


def test_new_items_join_by_their_genres(
    folder: RunFolder, world: Path, tmp_path: Path, call: Call
) -> None:
    genres = pl.read_parquet(world / "items.parquet")["genres"]
    rows = {"item_id": ["new a", "new b"], "title": ["A", "B"], "genres": [genres[0], genres[1]]}
    pl.DataFrame(rows).write_parquet(tmp_path / "new.parquet")
    added = call("add-items", folder.path, "--items", tmp_path / "new.parquet", "--json")
    assert json.loads(added.out)["added"] == 2
    lookup = Lookup(Bundle.load(folder.bundle))
    # Items of the first community stand nearer to the new item of its genre.
    [similar] = lookup.similar_items(["new a"], 8)
    near = [int(item["id"][1:]) % 4 for item in similar["items"] if item["id"] != "new b"]
    assert near.count(0) >= len(near) / 2
    [answer] = lookup.recommend(histories=[["new a", "new b"]], k=3)
    assert answer["source"] == "fold_in" and len(answer["items"]) == 3
    timed = [Event("new a", None, 1_700_000_000.0), Event("i1", None, 1_600_000_000.0)]
    assert np.isfinite(lookup.fold_in(timed)).all()


def test_a_forgotten_user_is_gone_and_the_others_are_answered_as_before(
    folder: RunFolder, call: Call
) -> None:
    before = Lookup(Bundle.load(folder.bundle.resolve())).recommend(["u2", "u3"], 5)
    assert call("forget", folder.path, "--user", "u17", "--quiet").code == 0
    bundle = Bundle.load(folder.bundle.resolve())
    assert "u17" not in bundle.users
    state_folders = list(folder.checkpoint.glob("*/*/states"))
    assert state_folders
    for states in state_folders:
        labels = pl.read_parquet(states / "labels.parquet")
        assert "u17" not in labels["label"].to_list() and "i1" in labels["label"].to_list()
    assert np.load(bundle.path / "user_self.npy").shape[0] == 1
    after = Lookup(bundle).recommend(["u2", "u3"], 5)
    assert [answer["items"] for answer in after] == [answer["items"] for answer in before]


def test_published_files_are_judged(call: Call, world: Path, tmp_path: Path) -> None:
    log = pl.read_parquet(world / "log.parquet").unique(["user_id", "item_id"], maintain_order=True)
    is_test = pl.col("index") % 5 == 0
    rows = log.with_row_index()
    rows.filter(~is_test).drop("index").write_parquet(tmp_path / "train.parquet")
    rows.filter(is_test).drop("index").write_parquet(tmp_path / "test.parquet")
    files = ["--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet"]
    sets = ["model.family=history", "model.width=8", "model.heads=2", "train.epochs=1"]
    options = [word for setting in sets for word in ("--set", setting)]
    judged = call(
        "evaluate", *files, "--model", "model", "--k", 10, "--threads", 1, *options, "--json"
    )
    assert json.loads(judged.out)["metrics"]["ndcg@10"] > 0

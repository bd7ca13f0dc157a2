"""`recsys init`: the file that it writes, what it asks, and the sample that it runs."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from chain import Call
from pipelines.sample_run import run_sample, sampled_config
from pipelines.schema import SCHEMA, schema_text
from recsys.core.config import load_config
from recsys.logs.synthetic import communities

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A log with names of its own, and a table of items beside it."""
    world = communities(num_users=350, num_items=48, events_per_user=12)
    log = world.log.select(
        customer="user_id", sku="item_id", ordered_at="timestamp", stars="rating"
    )
    log.write_csv(tmp_path / "orders.csv")
    world.items.rename({"item_id": "sku"}).write_parquet(tmp_path / "products.parquet")
    return tmp_path


def test_the_file_is_a_configuration_with_its_reasons(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    called = call("init", "orders.csv", "--no-sample")
    assert called.code == 0 and "Proposed in recsys.toml" in called.out
    config = load_config(Path("recsys.toml"))
    assert config.name == "orders" and config.split.method == "global_time"
    assert (config.data.user_col, config.data.item_col) == ("customer", "sku")
    assert config.data.items == "products.parquet"
    assert [entry.column for entry in config.graph.attributes] == ["genres"]
    text = Path("recsys.toml").read_text(encoding="utf-8")
    assert text.startswith(f"#:schema {SCHEMA}\n")
    assert Path(SCHEMA).read_text(encoding="utf-8") == schema_text()
    # Nothing is guessed silently: what is not sure is marked, with what it could be.
    assert "# CHECK: A rating of 1 counts as much as one of 5" in text
    assert "# min_rating = 4.0" in text and config.clean.min_rating is None
    assert all(len(line) <= 100 for line in text.splitlines())
    keys = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    assert len(keys) > 8


def test_paths_lead_from_the_folder_of_the_file(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    assert call("init", "orders.csv", "--no-sample", "--out", "runs/a.toml").code == 0
    assert 'log = "../orders.csv"' in Path("runs/a.toml").read_text(encoding="utf-8")


def test_a_file_that_is_there_stays(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    Path("recsys.toml").write_text("mine", encoding="utf-8")
    called = call("init", "orders.csv", "--no-sample")
    assert called.code == 2 and "--force" in called.err
    assert Path("recsys.toml").read_text(encoding="utf-8") == "mine"
    assert call("init", "orders.csv", "--no-sample", "--force").code == 0


def test_programs_read_questions_and_options(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    found = json.loads(call("init", "orders.csv", "--no-sample", "--json").out)
    assert found["rows"] == 4200 and found["sample"] is None
    by_key = {choice["key"]: choice for choice in found["choices"]}
    assert by_key["data.user_col"] == {
        "key": "data.user_col",
        "value": "customer",
        "reason": by_key["data.user_col"]["reason"],
    }
    assert by_key["clean.min_rating"]["options"] == [None, 4.0]


def test_flags_answer_before_anything_is_asked(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{row % 9},{row % 7}\n" for row in range(100))
    Path("log.csv").write_text(f"a,b\n{rows}", encoding="utf-8")
    guessed = call("init", "log.csv", "--out", "guess.toml")
    # A sample of guessed ids would say nothing.
    assert guessed.code == 0 and "The chain runs" not in guessed.out
    assert Path("guess.toml").read_text(encoding="utf-8").count("# CHECK:") >= 2
    call("init", "log.csv", "--no-sample", "--user-col", "b", "--item-col", "a")
    assert load_config(Path("recsys.toml")).data.user_col == "b"
    assert "CHECK" not in Path("recsys.toml").read_text(encoding="utf-8")


def test_bad_input(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("items.csv").write_text("item_id,title\n1,a\n2,b\n", encoding="utf-8")
    Path("empty.csv").write_text("", encoding="utf-8")
    for name, said in (
        ("items.csv", "table of items"),
        ("empty.csv", "empty"),
        ("no.csv", "no file"),
    ):
        called = call("init", name)
        assert called.code == 1 and said in called.err
    assert not Path("recsys.toml").exists()
    named = call("init", "items.csv", "--user-col", "nobody")
    assert named.code == 1 and "nobody" in named.err


def test_on_a_terminal_it_asks(shop: Path) -> None:
    """A real terminal: one question, answered by the number of an option."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "init", "orders.csv", "--no-sample"],
        cwd=shop,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, b"2\n")
    out, _ = process.communicate()
    asked = os.read(master, 65536).decode()
    os.close(master)
    assert process.returncode == 0, asked
    assert "clean.min_rating: a rating of 1 counts as much" in asked and "2) 4.0" in asked
    assert load_config(shop / "recsys.toml").clean.min_rating == 4.0
    assert "CHECK" not in (shop / "recsys.toml").read_text(encoding="utf-8")
    assert b"Not sure" not in out


def test_a_sample_holds_all_rows_of_some_users(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setattr("pipelines.sample_run.SAMPLE_ROWS", 1200)
    assert call("init", "orders.csv", "--no-sample").code == 0
    config = load_config(Path("recsys.toml"))
    sampled, facts = sampled_config(config, shop)
    assert facts == {"users": 100, "rows": 1200}
    rows = pl.read_parquet(str(sampled.data.log))
    whole = pl.read_csv("orders.csv").filter(pl.col("customer").is_in(rows["customer"].implode()))
    assert len(rows) == len(whole) == 1200 and rows["customer"].n_unique() == 100
    assert sampled.train.epochs == 2 and not sampled.refit
    again, _ = sampled_config(config, shop)
    assert pl.read_parquet(str(again.data.log)).equals(rows)


@pytest.mark.slow
def test_a_sample_runs_through(call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    called = call("init", "orders.csv", "--json")
    facts = json.loads(called.out)["sample"]
    assert facts["users"] == 350 and facts["rows"] == 4200
    assert facts["warm_users"] > 0 and "error" not in facts
    assert {"Graph attention", "ItemKNN"} <= facts["models"].keys()
    assert len(facts["list"]["items"]) == 5
    assert not Path("runs").exists()


def test_a_sample_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    lines = [f"u{row},i{row % 5},{1_600_000_000 + row}" for row in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]), "utf-8")
    config = tmp_path / "a.toml"
    config.write_text('[data]\nlog = "log.csv"\n[split]\nmethod = "global_time"\n', "utf-8")
    said: list[str] = []
    facts = run_sample(config, said.append)
    assert "error" in facts and facts["error"] in said[0]

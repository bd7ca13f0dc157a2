"""A run folder written by an earlier version still answers."""

import json
from pathlib import Path

from chain import Call
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder
from recsys.core.config import build_config
from recsys.releases.publish import load_verified

OLD = Path(__file__).parent / "old_run"


def test_its_bundle_is_whole_and_replays_its_golden_requests() -> None:
    assert len(load_verified(OLD / "bundle").users) == 24


def test_it_recommends_and_explains(call: Call) -> None:
    found = json.loads(call("recommend", OLD, "--user", "u1", "-k", "3", "--json").out)
    assert len(found["items"]) == 3 and found["source"] == "model"
    visitor = json.loads(call("recommend", OLD, "--history", "i1,i3", "-k", "3", "--json").out)
    assert visitor["source"] == "fold_in"
    why = json.loads(
        call("explain", OLD, "--user", "u1", "--item", found["items"][0]["id"], "--json").out
    )
    assert (
        abs(
            sum(part["share"] for part in why["parts"]) + why["others"] + why["rest"] - why["score"]
        )
        < 1e-5
    )


def test_it_is_filtered_verified_listed_and_compared_but_has_no_dial(call: Call) -> None:
    genre = Bundle.load(OLD / "bundle").item_table["genres"].explode()[0]
    found = json.loads(
        call("recommend", OLD, "--user", "u1", "--filter", f"genres={genre}", "--json").out
    )
    assert found["items"]
    turned = call("recommend", OLD, "--user", "u1", "--popularity", "0.1")
    assert turned.code == 2 and "recsys index" in turned.err
    assert "whole" in call("verify", OLD).out and "live" in call("list", OLD).out
    against_itself = call("diff", OLD, OLD, "--users", 20, "--json")
    assert against_itself.code == 0 and json.loads(against_itself.out)["finding"] == "unknown"


def test_it_goes_on_with_the_family_that_it_was_trained_with() -> None:
    config = build_config(RunFolder(OLD).read_manifest()["config"])
    assert config.model.family == Bundle.load(OLD / "bundle").encoder.family == "degree_prior"


def test_it_is_shown(call: Call) -> None:
    shown = call("show", OLD)
    assert shown.code == 0 and "Models on the test" in shown.out

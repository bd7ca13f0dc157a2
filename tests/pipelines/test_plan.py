"""`recsys plan` says what a run takes before there is a log."""

import json

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from recsys.core.errors import UsageError

SIZE = ["--users", "2000000", "--items", "300000", "--interactions", "60000000"]


def said(*arguments):
    result = CliRunner().invoke(app, ["plan", *SIZE, *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_table_with_what_would_change_it():
    text = said("--workers", "4")
    assert "train-select[model]" in text and "a process, GB" in text
    assert "% of the hours" in text
    assert "refit=false" in text


def test_the_same_as_json():
    document = json.loads(said("--workers", "4", "--json"))
    training = [stage for stage in document["stages"] if stage["name"].startswith("train-")]
    assert {stage["processes"] for stage in training} == {4}
    assert all(stage["moved_bytes"] > 0 for stage in training)
    assert document["hours"] == pytest.approx(sum(stage["hours"] for stage in document["stages"]))
    assert document["counts"]["rows"] == 60_000_000
    assert [missing["part"] for missing in document["left_out"]] == ["twin without attention"]


def test_buckets_divide_what_goes_by_buckets():
    hours = {}
    for buckets in ([], ["--buckets", "64"]):
        document = json.loads(said("--workers", "8", *buckets, "--json"))
        hours[len(buckets)] = {stage["name"]: stage["hours"] for stage in document["stages"]}
    together, divided = hours.values()
    faster = {name for name in together if divided[name] < together[name]}
    assert faster == {"ingest", "split", "audit", "validate[model]", "test-model[model]"}


def test_a_slower_network_takes_longer():
    fast, slow = (
        json.loads(said("--workers", "4", "--gigabits", speed, "--json")) for speed in ("100", "1")
    )
    assert slow["hours"] > fast["hours"]
    assert slow["memory_bytes"] == fast["memory_bytes"]


def test_an_impossible_size_is_refused():
    with pytest.raises(UsageError, match="cannot have 60,000,000 different pairs"):
        CliRunner().invoke(
            app, ["plan", *SIZE, "--users", "2", "--workers", "2"], catch_exceptions=False
        )

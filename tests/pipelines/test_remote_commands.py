"""The command line on a run folder in object storage."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chain import Call
from object_stores import SECRET, server, url  # noqa: F401
from recsys.releases import life_cycle
from recsys.releases.remote import RemoteRun
from worlds import make_contents, write_world

# Fixtures of another module have the names of arguments.
# ruff: noqa: F811


@pytest.fixture
def two(url: str) -> list[str]:
    """Names of two bundles at the URL, the second live."""
    names = []
    run = RemoteRun(url, "runs")
    with run.run():
        for name in "ab":
            card = {"name": name, "family": "degree_prior", "never_worse": True, "verdict": ""}
            path = write_world(run.copy.bundles, replace(make_contents(), model_card=card))
            (run.copy.path / "manifest.json").write_text('{"config": {}, "stages": {}}')
            life_cycle.publish(run.copy, path)
            run.push_run(path.name)
            names.append(path.name)
    return names


def test_bundles_are_listed_switched_and_pruned(url: str, two: list[str], call: Call) -> None:
    first, second = two
    listed = json.loads(call("list", url, "--json").out)
    assert [bundle["name"] for bundle in listed["bundles"] if bundle["live"]] == [second]
    assert call("recommend", url, "--user", "u00", "--json").out.count(second) == 1
    assert json.loads(call("rollback", url, "--json").out)["live"] == first
    assert json.loads(call("recommend", url, "--user", "u00", "--json").out)["bundle"] == first
    named = call("recommend", f"{url}/bundles/{second}", "--user", "u00", "--json")
    assert json.loads(named.out)["bundle"] == second
    assert json.loads(call("promote", url, second[:6], "--json").out)["live"] == second
    assert sorted(json.loads(call("verify", url, "--json").out)["whole"]) == sorted(two)
    assert call("prune", url, "--keep", "1", "--json").code == 0
    assert call("promote", url, "0000").code == 2


def test_what_cannot_be_is_told_with_its_exit_code(
    url: str, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = call("recommend", f"{url}/nothing", "--user", "u00")
    assert nothing.code == 2 and "is not a run folder: it has no run.json" in nothing.err
    bucket = call("list", "s3://no-such-bucket/run")
    assert bucket.code == 1 and "there is no bucket 'no-such-bucket'" in bucket.err
    secret = call("run", "--log", f"s3://key:{SECRET}@shop/log.csv")
    assert secret.code == 2 and "carries a user or a password" in secret.err
    assert SECRET not in secret.err
    for arguments in (
        ["run", "--log", "log.csv", "--out", f"s3://shop/run?secret={SECRET}"],
        ["list", f"s3://shop/run?secret={SECRET}"],
        ["serve", f"s3://shop/run?secret={SECRET}"],
    ):
        refused = call(*arguments)
        assert refused.code == 2 and SECRET not in refused.err, arguments
    local = call("experiment", "list", url)
    assert local.code == 2 and "needs a run folder on a disk" in local.err
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\n1,2\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    gone = call("run", "--log", str(log), "--out", url)
    # Before anything is trained.
    assert gone.code == 1 and f"cannot reach {url}" in gone.err

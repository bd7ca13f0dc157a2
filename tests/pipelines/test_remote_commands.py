"""The command line on a run folder in object storage."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chain import Call, Settings
from object_stores import SECRET, server, url  # noqa: F401
from pipelines.run import run
from recsys.releases import life_cycle
from recsys.releases.remote import RemoteRun
from recsys.storage.store import Store
from worlds import make_contents, write_world

# Fixtures of another module have the names of arguments.
# ruff: noqa: F811


@pytest.fixture
def two(url: str) -> list[str]:
    """Names of two bundles at the URL, the second live."""
    names = []
    remote = RemoteRun(url, "runs")
    with remote.run():
        for name in "ab":
            card = {"name": name, "family": "degree_prior", "never_worse": True, "verdict": ""}
            path = write_world(remote.copy.bundles, replace(make_contents(), model_card=card))
            (remote.copy.path / "manifest.json").write_text('{"config": {}, "stages": {}}')
            life_cycle.publish(remote.copy, path)
            remote.push_run(path.name)
            names.append(path.name)
    return names


def keys(url: str, folder: str) -> list[str]:
    """Of the objects below a folder."""
    return [entry.key for entry in Store(f"{url}/{folder}").entries()]


def fetched(url: str, key: str) -> bytes:
    document = Store(url).read(key)
    assert document is not None
    return document.content


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
    assert local.code == 2 and "which needs a disk" in local.err
    assert "recsys run CONFIG --out FOLDER; recsys serve FOLDER" in local.err
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\n1,2\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    gone = call("run", "--log", str(log), "--out", url)
    # Before anything is trained.
    assert gone.code == 1 and f"cannot reach {url}" in gone.err


def test_lists_and_vectors_are_written_to_urls(
    url: str, two: list[str], call: Call, tmp_path: Path
) -> None:
    """The bytes of a local --out, and nothing of a command that is refused."""
    assert call("batch", url, "--out", f"{url}/out/lists.parquet", "-k", "5", "--quiet").code == 0
    assert call("batch", url, "--out", tmp_path / "lists.parquet", "-k", "5", "--quiet").code == 0
    assert fetched(url, "out/lists.parquet") == (tmp_path / "lists.parquet").read_bytes()
    parts = ["batch", url, "--out", f"{url}/parts", "--quiet", "--buckets", "3"]
    assert call(*parts).code == 0
    # What an earlier call left, of more buckets.
    Store(url).upload(tmp_path / "lists.parquet", "parts/part-00007.parquet")
    assert call(*parts).code == 0
    assert keys(url, "parts") == ["part-00000.parquet"]
    vectors = ["export", url, "--out", f"{url}/vectors", "--format"]
    assert call(*vectors, "npy").code == 0
    assert call(*vectors, "parquet").code == 0
    assert keys(url, "vectors") == ["export.json", "items.parquet", "users.parquet"]
    assert call("export", url, "--out", tmp_path / "vectors").code == 0
    for file in (tmp_path / "vectors").iterdir():
        assert fetched(url, f"vectors/{file.name}") == file.read_bytes(), file.name
    for refused in (
        call("export", url, "--out", f"{url}/parts"),
        call("batch", url, "--out", f"{url}/vectors", "--buckets", "2"),
        call("export", url, "--out", "ftp://host/vectors"),
        call("batch", url, "--out", f"s3://shop/x?token={SECRET}"),
    ):
        assert refused.code == 2 and SECRET not in refused.err, refused.err
    gone = call("batch", url, "--out", "s3://no-such-bucket/lists.parquet")
    assert gone.code == 1 and "there is no bucket 'no-such-bucket'" in gone.err


def test_an_encoder_is_written_to_a_url(url: str, two: list[str], call: Call) -> None:
    pytest.importorskip("onnx")
    assert call("export", url, f"{url}/encoder", "--to", "onnx").code == 0
    assert keys(url, "encoder") == ["encoder.onnx", "items.json", "labels.json", "onnx.json"]


def test_an_index_is_tuned_again_where_the_run_was(
    url: str,
    call: Call,
    world: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run(settings(world, "evaluate.baselines=[]"), url)
    before = json.loads(call("list", url, "--json").out)["bundles"]
    called = call("index", url, "--set", "index.kind=hnsw", "--json", "--quiet")
    assert called.code == 0, called.err
    bundles = json.loads(call("list", url, "--json").out)["bundles"]
    assert (len(before), len(bundles)) == (1, 2)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "another machine"))
    elsewhere = call("index", url)
    assert elsewhere.code == 2 and f"recsys run CONFIG --out {url}" in elsewhere.err

"""The commands over the bundles of a run folder: what they print, and their exit codes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from chain import Call, Called
from recsys.core.artefacts import RunFolder, write_json
from worlds import make_contents, write_world


def document(called: Called) -> Any:
    assert called.code == 0, called.err
    return json.loads(called.out)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    write_json(tmp_path / "manifest.json", {})
    return RunFolder(tmp_path)


def written(folder: RunFolder, value: float, **card: object) -> str:
    values = pl.DataFrame({"user_id": [f"u{one:02}" for one in range(30)], "ndcg@5": [value] * 30})
    card = {"deciding": "ndcg@5", "test": {"ndcg@5": value}, "test_rows": "same", **card}
    return write_world(
        folder.bundles, replace(make_contents(), model_card=card, test_values=values)
    ).name


def test_a_life_of_bundles(call: Call, folder: RunFolder) -> None:
    a, b = (
        written(folder, 0.5),
        written(folder, 0.4, never_worse=False, verdict="Best: ItemKNN, a baseline."),
    )
    assert document(call("promote", folder.path, a, "--json"))["live"] == a
    refused = call("promote", folder.path, b)
    assert refused.code == 4 and "ItemKNN" in refused.err and "--force" in refused.err
    assert "is live" in call("promote", folder.path, b, "--force").out
    assert "is live already" in call("promote", folder.path, b, "--force").out
    listed = document(call("list", folder.path, "--json"))
    assert [one["name"] for one in listed["bundles"] if one["live"]] == [b] and len(
        listed["promotions"]
    ) == 2
    assert a in call("list", folder.path).out
    assert document(call("rollback", folder.path, "--json"))["promotion"]["by"] == "rollback"
    assert call("rollback", folder.path).code == 2
    assert document(call("prune", folder.path, "--keep", 1, "--json"))["deleted"] in ([], [b])


def test_verify_names_what_is_wrong(call: Call, folder: RunFolder) -> None:
    a, b = written(folder, 0.5), written(folder, 0.4)
    assert sorted(document(call("verify", folder.path, "--json"))["whole"]) == sorted([a, b])
    (folder.bundles / b / "seen_0.indices.npy").write_bytes(b"short")
    broken = call("verify", folder.path)
    assert broken.code == 1 and "seen_0.indices.npy" in broken.err
    assert "whole" in call("verify", folder.path, a).out
    assert call("verify", folder.path, "nothing").code == 2


def test_diff_is_exit_4_for_the_worse_one(call: Call, folder: RunFolder) -> None:
    a, b = written(folder, 0.5), written(folder, 0.4)
    worse = call("diff", folder.bundles / a, folder.bundles / b, "--json")
    assert worse.code == 4 and "worse" in worse.err
    found = json.loads(worse.out)
    assert found["finding"] == "worse" and found["deltas"][0]["difference"] == pytest.approx(-0.1)
    assert found["overlap"]["share"] == 1.0 and found["costs"]["a"]["p50_ms"] > 0
    assert call("diff", folder.path).code == 2
    call("promote", folder.path, a)
    assert "Name two bundles" in call("diff", folder.path).err
    better = call("diff", folder.bundles / b, folder.path)
    assert better.code == 0 and "better on ndcg@5" in better.out and "+0.1000" in better.out
    call("promote", folder.path, b)
    assert "recsys rollback" in call("diff", folder.path).err


def test_what_people_read(call: Call, folder: RunFolder, tmp_path: Path) -> None:
    a, b = written(folder, 0.5), written(folder, 0.4)
    call("promote", folder.path, a)
    call("promote", folder.path, b)
    assert f"{a} is live; {b} was before" in call("rollback", folder.path).out
    assert "deleted" in call("prune", folder.path, "--keep", 1).out
    exported = call("export", folder.path, "--format", "npy", "--out", tmp_path / "vectors")
    assert "30 users and 40 items, 8 wide" in exported.out and "not in the vectors" in exported.out
    again = document(call("export", folder.path, "--out", tmp_path / "vectors", "--json"))
    assert (again["format"], again["bundle"]) == ("parquet", a)
    assert call("export", folder.path, "--format", "npz", "--out", tmp_path / "x").code == 2
    forgotten = call("forget", folder.path, "--user", "u03", "--quiet")
    assert (
        forgotten.code == 0 and "→" in forgotten.out and "until the next training" in forgotten.out
    )
    assert "none held them" in call("forget", folder.path, "--user", "u03", "--quiet").out

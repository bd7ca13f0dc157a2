"""Forgetting through a whole run folder: all traces go, a cut-off attempt completes, and the next
run keeps it so.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from chain import Call, Settings
from pipelines.forget import forget
from pipelines.run import run
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError
from recsys.core.suppression import Suppression
from recsys.logs.ingest import load_log
from recsys.releases.life_cycle import live, promote

USER = "u17"
KILLED = """
import os, pathlib, sys
from pipelines import forget as module
from recsys.core.artefacts import RunFolder

left = int(sys.argv[2])

def counted(original):
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return original(*arguments, **named)
    return call

pathlib.Path.replace, pathlib.Path.unlink = counted(pathlib.Path.replace), counted(pathlib.Path.unlink)
module.shutil.rmtree = counted(module.shutil.rmtree)
module.forget(RunFolder(pathlib.Path(sys.argv[1])), sys.argv[3])
"""


@pytest.fixture
def folder(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of a finished run with live events."""
    copied = RunFolder(tmp_path / "run")
    shutil.copytree(finished.path, copied.path, symlinks=True)
    lines = [{"user_id": user, "item_id": "i1", "timestamp": 5} for user in (USER, "u2", USER)]
    (copied.path / "events.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + "torn", encoding="utf-8"
    )
    return copied


def traces(folder: RunFolder) -> list[str]:
    """Files that still know the person's id."""
    found = [
        file
        for file in folder.path.rglob("*")
        if file.is_file() and "bundle/" not in str(file.relative_to(folder.path))
    ]
    return [str(file) for file in found if _knows(file)]


def _knows(file: Path) -> bool:
    if file.suffix == ".parquet":
        return any(
            USER in column.to_list()
            for column in pl.read_parquet(file)
            if column.dtype == pl.String
        )
    return f'"{USER}"'.encode() in file.read_bytes()


def state(folder: RunFolder) -> dict[str, Any]:
    """What counts of a folder, but for times and salts."""
    log = load_log(folder.path / "interactions/log")
    return {
        "files": sorted(
            str(file.relative_to(folder.path))
            for file in folder.path.rglob("*")
            if file.is_file() and "receipts" not in str(file) and not file.name.endswith(".lock")
        ),
        "live": live(folder),
        "events": (folder.path / "events.jsonl").read_text(encoding="utf-8"),
        "rows": log.rows.collect(),
        "users": log.users.ids.to_list(),
        "listed": Suppression.load(folder.path / "suppressed.json").holds(USER),
    }


def test_every_trace_goes(folder: RunFolder, call: Call) -> None:
    before, old = load_log(folder.path / "interactions/log"), Bundle.load(folder.bundle.resolve())
    assert len(traces(folder)) > 5
    gone = before.rows.collect().filter(pl.col("user") == before.users.internal(USER))
    called = call("forget", folder.path, "--user", USER, "--json", "--quiet")
    receipt = json.loads(called.out)
    assert called.code == 0 and traces(folder) == []
    assert (receipt["rows"], receipt["events"], receipt["checkpoints"]) == (len(gone), 2, 5)
    assert (
        receipt["bundles"] == {old.name: live(folder)}
        and "until the next training" in receipt["remains"]
    )
    assert USER not in called.out and receipt["user"] in (
        folder.path / "suppressed.json"
    ).read_text(encoding="utf-8")
    [kept] = (folder.path / "receipts").iterdir()
    assert json.loads(kept.read_text(encoding="utf-8")) == receipt
    assert Bundle.load(folder.bundle).users.ids.to_list() == [
        one for one in old.users.ids if one != USER
    ]
    assert [path.name for path in folder.bundles.iterdir()] == [live(folder)]
    assert (folder.path / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1] == "torn"


def _in_ids(folder: RunFolder) -> pl.DataFrame:
    """The rows of the ingested log with the ids of users."""
    log = load_log(folder.path / "interactions/log")
    return log.rows.collect().with_columns(
        pl.col("user").replace_strict(dict(enumerate(log.users.ids)))
    )


def test_the_log_is_the_same_without_them(folder: RunFolder) -> None:
    outside = [_in_ids(folder)]
    forget(folder, USER)
    after = load_log(folder.path / "interactions/log")
    outside.append(_in_ids(folder))
    assert outside[1].equals(outside[0].filter(pl.col("user") != USER))
    facts = json.loads((folder.path / "interactions/log/ingest.json").read_text(encoding="utf-8"))
    assert facts["users"] == len(after.users) and facts["rows_kept"] == len(outside[1]) == sum(
        facts["behaviors"].values()
    )
    assert facts["drops"]["user to be forgotten"] == len(outside[0]) - len(outside[1])


def test_the_next_run_drops_them_where_it_reads(
    folder: RunFolder, settings: Settings, world: Path
) -> None:
    rows = len(pl.read_parquet(world / "log.parquet").filter(pl.col("user_id") == USER))
    forget(folder, USER)
    manifest = run(settings(world, f"train.warm_start='{folder.path}'"), folder.path)
    assert manifest.ran[0] == "ingest" and "bundle" in manifest.ran
    assert manifest.entries["ingest"].drops["user to be forgotten"] == rows
    assert traces(folder) == [] and USER not in Bundle.load(folder.bundle).users
    assert run(settings(world, f"train.warm_start='{folder.path}'"), folder.path).ran == []


def test_a_part_of_the_plan_is_refused_until_the_whole_has_run(
    folder: RunFolder, call: Call
) -> None:
    forget(folder, USER)
    refused = call("index", folder.path, "--set", "index.k=7")
    assert refused.code == 2 and "Finish it with recsys run" in refused.err


def test_done_again_there_is_nothing_left_to_do(folder: RunFolder) -> None:
    forget(folder, USER)
    once = state(folder)
    again = forget(folder, USER)
    assert (again.rows, again.events, again.checkpoints, again.bundles, again.deleted) == (
        0,
        0,
        0,
        {},
        [],
    )
    assert _same(state(folder), once)


def test_somebody_who_never_came_is_only_listed(folder: RunFolder) -> None:
    before = live(folder)
    assert forget(folder, "never seen").rows == 0
    assert live(folder) == before and Suppression.load(folder.path / "suppressed.json").holds(
        "never seen"
    )


def test_not_while_a_run_goes_on(folder: RunFolder) -> None:
    with folder.locked(), pytest.raises(UsageError, match="in use"):
        forget(folder, USER)
    assert not (folder.path / "suppressed.json").exists()


def _killed_at(folder: RunFolder, calls: int) -> bool:
    """Whether forgetting was killed before it was done."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, folder.path, str(calls), USER],
        check=False,
        capture_output=True,
    )
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode == -9


def _checked(folder: RunFolder, killed: RunFolder, calls: int) -> bool:
    """One attempt cut off after some calls, and the second that completes it."""
    shutil.copytree(folder.path, killed.path, symlinks=True)
    was_killed = _killed_at(killed, calls)
    assert (
        Bundle.load(killed.bundle).users is not None
    )  # whatever was cut off, a whole bundle is live
    forget(killed, USER)
    assert traces(killed) == [] and Suppression.load(killed.path / "suppressed.json").holds(USER)
    return was_killed


@pytest.mark.parametrize("calls", [3, 9, 16, 30])
def test_a_killed_attempt_completes(folder: RunFolder, tmp_path: Path, calls: int) -> None:
    killed = RunFolder(tmp_path / "killed")
    assert _checked(folder, killed, calls)
    forget(folder, USER)
    assert _same(state(killed), state(folder))


@pytest.mark.slow
def test_killed_anywhere(folder: RunFolder, tmp_path: Path) -> None:
    calls = 0
    while _checked(folder, RunFolder(tmp_path / str(calls)), calls):
        calls += 1
    assert calls > 40


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    rows = one["rows"].equals(other["rows"])
    return bool(rows) and {**one, "rows": 0} == {**other, "rows": 0}


def test_an_older_bundle_and_the_way_back_to_it(
    folder: RunFolder, settings: Settings, world: Path
) -> None:
    first = live(folder)
    run(settings(world, "seed=1"), folder.path)
    second = live(folder)
    receipt = forget(folder, USER)
    assert set(receipt.bundles) == {first, second} and live(folder) == receipt.bundles[str(second)]
    assert promote(folder, receipt.bundles[str(first)], force=True) is not None
    assert np.isfinite(Bundle.load(folder.bundle).user_vectors).all()

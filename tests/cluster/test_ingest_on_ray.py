"""Ingest on a Ray cluster leaves the bytes of one process, whatever happens to the cluster."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from chain import Heard
from held_up import HeldUp, kill_itself, letters
from object_stores import object_server
from outages import Way
from patience import eventually
from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError, MachineError
from recsys.core.runners import LocalRunner, Runner
from recsys.core.step_files import StepFiles
from recsys.core.steps import Steps
from recsys.core.tables import ITEM_ID, TIME, USER_ID
from recsys.logs.ingest import ingest
from recsys.storage.step_files import FilesAtUrl
from recsys.storage.store import Store

pytestmark = pytest.mark.cluster

CLEAN = CleanConfig(min_user_interactions=5, min_item_interactions=5)
BUCKETS = 4
HEAVY_STEP = "clean"


@pytest.fixture(scope="session")
def undisturbed(log: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one process leaves."""
    out = tmp_path_factory.mktemp("undisturbed") / "log"
    ingest(str(log), DataConfig(), CLEAN, out, buckets=BUCKETS)
    return content_sha256(out)


def ingested(log: Path, out: Path, steps: Steps) -> str:
    ingest(str(log), DataConfig(), CLEAN, out, buckets=BUCKETS, steps=steps)
    return content_sha256(out)


@pytest.mark.parametrize("processes", [1, 2])
def test_local_buckets_leave_the_bytes_of_one_process(
    log: Path, undisturbed: str, tmp_path: Path, processes: int
) -> None:
    with LocalRunner(processes) as runner:
        steps = Steps(tmp_path / "steps", runner, lasts=True)
        assert ingested(log, tmp_path / "log", steps) == undisturbed


def test_ray_leaves_the_bytes_of_one_process(
    log: Path, undisturbed: str, tmp_path: Path, runner: Runner
) -> None:
    steps = Steps(tmp_path / "steps", runner, lasts=True)
    assert ingested(log, tmp_path / "log", steps) == undisturbed


def while_held_up(
    log: Path,
    tmp_path: Path,
    runner: Runner,
    harm: Callable[[list[int]], Any],
    heard: Heard,
    storage: StepFiles | None = None,
) -> str:
    """Ingest, with some harm done while calls of one step are at work.

    harm: is given the processes of the calls; the calls go on when it returns.
    storage: for the files of steps; a folder when None.
    """
    gate = tmp_path / "gate"
    gate.mkdir()
    steps = HeldUp(tmp_path / "steps", runner, heard, lasts=True, step=HEAVY_STEP, gate=gate)
    if storage is not None:
        steps = replace(steps, folder=Path("ingest"), storage=storage)
    left: list[str] = []
    # Nodes are added and removed in the main thread alone (ray#47727), so the ingest has the other.
    work = threading.Thread(target=lambda: left.append(ingested(log, tmp_path / "log", steps)))
    work.start()
    eventually(lambda: len(list(gate.glob(f"{HEAVY_STEP}-?"))) >= 2, "no two calls started")
    harm([int(file.read_text()) for file in sorted(gate.glob(f"{HEAVY_STEP}-?"))])
    (gate / "open").touch()
    eventually(lambda: not work.is_alive(), "the ingest does not end")
    assert left, "the ingest failed"
    return left[0]


def test_a_node_is_killed_in_the_middle(
    log: Path, undisturbed: str, tmp_path: Path, runner: Runner, cluster: Any
) -> None:
    heard = Heard()
    found = while_held_up(log, tmp_path, runner, lambda pids: cluster.kill(pids[0]), heard)
    assert found == undisturbed
    assert len(cluster.nodes) == 1


def test_a_worker_is_killed_in_the_middle(
    log: Path, undisturbed: str, tmp_path: Path, runner: Runner
) -> None:
    heard = Heard()
    found = while_held_up(
        log, tmp_path, runner, lambda pids: os.kill(pids[0], signal.SIGKILL), heard
    )
    assert found == undisturbed


def test_a_bucket_file_is_cut_short_on_the_shared_store(
    log: Path, undisturbed: str, tmp_path: Path, runner: Runner
) -> None:
    heard = Heard()

    def cut_short(_: list[int]) -> None:
        # What the next step reads of a bucket that is done, or will be made whole again by its call.
        [file] = (tmp_path / "steps/ids/00000").glob("ids.arrow")
        with file.open("r+b") as stream:
            stream.truncate(file.stat().st_size // 2)
        [first, *_] = sorted((tmp_path / "steps/exchange").glob("*/bucket-00003-*.arrow"))
        first.write_bytes(b"")

    found = while_held_up(log, tmp_path, runner, cut_short, heard)
    assert found == undisturbed
    assert "exchange 0 left a file that is missing or broken: it is run again" in heard.text


def test_the_object_store_is_away_in_the_middle(
    log: Path,
    undisturbed: str,
    tmp_path: Path,
    runner: Runner,
    way: Way,
    store_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in store_environment.items():
        monkeypatch.setenv(name, value)

    def join_again() -> None:
        eventually(lambda: way.refused >= 10, "nobody asked while the store was away")
        way.join()

    joining = threading.Thread(target=join_again)

    def cut(_: list[int]) -> None:
        way.cut()
        joining.start()

    with object_server("shop") as server:
        way.target = server.port
        storage = FilesAtUrl("s3://shop/steps")
        found = while_held_up(log, tmp_path, runner, cut, Heard(), storage)
        joining.join()
        left = Store(storage.url).entries("ingest/write")
    assert found == undisturbed
    assert left


def test_one_bucket_is_ten_times_as_large(tmp_path: Path, runner: Runner) -> None:
    """A user cannot be divided: the others wait for that bucket, and nothing else is different."""
    users = ["heavy"] * 20_000 + [f"u{number % 500}" for number in range(6_000)]
    items = [f"i{number * 7919 % 30_011}" for number in range(len(users))]
    rows = pl.DataFrame({USER_ID: users, ITEM_ID: items, TIME: range(10**9, 10**9 + len(users))})
    rows.write_parquet(tmp_path / "log.parquet")
    left = []
    for name, steps in {"here": None, "ray": Steps(tmp_path / "steps", runner, lasts=True)}.items():
        out = tmp_path / name
        ingest(
            str(tmp_path / "log.parquet"), DataConfig(), CleanConfig(), out, buckets=4, steps=steps
        )
        left.append(content_sha256(out))
    assert left[0] == left[1]


def test_an_error_in_the_data_is_told_as_in_one_process(tmp_path: Path, runner: Runner) -> None:
    lines = "".join(f"user-with-a-long-name-{number},x\n" for number in range(100_000))
    text = f"user_id,item_id\n{lines}b,x,1\n"  # what is read to learn the format ends before that
    (tmp_path / "log.csv").write_text(text)
    errors = []
    for steps in (None, Steps(tmp_path / "steps", runner, lasts=True)):
        with pytest.raises(DataError) as caught:
            ingest(
                str(tmp_path / "log.csv"),
                DataConfig(),
                CleanConfig(),
                tmp_path / "out",
                steps=steps,
            )
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_what_never_ends_is_given_up_in_one_line(
    log: Path, tmp_path: Path, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_wait_seconds", 5.0)
    (tmp_path / "gate").mkdir()
    steps = HeldUp(tmp_path / "steps", runner, lasts=True, step="write", gate=tmp_path / "gate")
    with pytest.raises(MachineError, match=r"no call ended within 5 s: 4 of 4 are open"):
        ingested(log, tmp_path / "log", steps)
    assert not (tmp_path / "log").exists()


def test_a_call_that_always_takes_its_worker_along_is_given_up(
    tmp_path: Path, runner: Runner
) -> None:
    steps = Steps(tmp_path, runner, lasts=True)
    with pytest.raises(MachineError, match="a call was lost 4 times"):
        steps.run("dies", kill_itself, [0], [()])


def test_relative_paths_begin_where_the_command_was_started(
    log: Path, tmp_path: Path, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_folder", tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("log").symlink_to(log)
    left = []
    for name, steps in {"here": None, "ray": Steps(Path("steps"), runner, lasts=True)}.items():
        ingest("log", DataConfig(), CLEAN, Path(name), buckets=BUCKETS, steps=steps)
        left.append(content_sha256(Path(name)))
    assert left[0] == left[1]


def test_nodes_that_lack_the_folder_of_the_command_are_refused(
    tmp_path: Path, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_folder", tmp_path / "nowhere")
    steps = Steps(tmp_path, runner, lasts=True)
    with pytest.raises(MachineError, match=r"has no folder '.*nowhere'"):
        steps.run("letters", letters, [0], [()])


def test_nodes_with_other_versions_are_refused(
    tmp_path: Path, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_versions", {**runner._versions, "polars": "0.1"})
    steps = Steps(tmp_path, runner, lasts=True)
    with pytest.raises(MachineError, match=r"'polars': '0\.1'"):
        steps.run("letters", letters, [0], [()])

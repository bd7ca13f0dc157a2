"""Steps whose files lie in object storage leave what they leave in a folder, also when the server is
away for a while.
"""

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from chain import Heard
from held_up import HeldUp, letters
from outages import way_to
from patience import eventually
from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import MachineError
from recsys.core.runners import LocalRunner
from recsys.core.steps import Steps
from recsys.logs.ingest import ingest
from recsys.logs.synthetic import large_log
from recsys.storage.cache import cache_folder
from recsys.storage.step_files import FilesAtUrl
from recsys.storage.store import RETRY_VARIABLE, Store

CLEAN = CleanConfig(min_user_interactions=5, min_item_interactions=5)
BUCKETS = 3


class Forgetful(HeldUp):
    """Before each step all copies are gone, as on nodes that share nothing."""

    def run(self, *given: Any, **named: Any) -> Any:
        for copies in ("steps", "inputs"):
            shutil.rmtree(cache_folder(copies))
        return super().run(*given, **named)


def steps_at(url: str, heard: Heard | None = None, runner: LocalRunner | None = None) -> Steps:
    return Steps(Path("ingest-0"), runner or LocalRunner(), heard or Heard(), True, FilesAtUrl(url))


def two_steps(steps: Steps) -> list[str]:
    """Three calls, and two that read them all."""
    first = steps.run("first", letters, ["a", "b", "c"], [(), (), ()])
    files = [file for outcome in first for file in outcome.files]
    second = steps.run("second", letters, [1, 2], [files, files])
    return [steps.whole(file).read_text() for outcome in second for file in outcome.files]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    large_log(folder, rows=6_000, users=400, items=60, files=2)
    return folder


@pytest.fixture(scope="module")
def undisturbed(log: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("undisturbed") / "log"
    ingest(str(log), DataConfig(), CLEAN, out, buckets=BUCKETS)
    return content_sha256(out)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_there_is_not_made_again(url: str, processes: int) -> None:
    heard = Heard()
    with LocalRunner(processes) as runner:
        assert two_steps(steps_at(url, heard, runner)) == ["1:a:b:c:", "2:a:b:c:"]
        written = Store(url).entries()
        assert two_steps(steps_at(url, heard, runner)) == ["1:a:b:c:", "2:a:b:c:"]
    assert heard.lines[-2:] == [
        "  first: 3 buckets, 3 were there",
        "  second: 2 buckets, 2 were there",
    ]
    assert Store(url).entries() == written


@pytest.mark.parametrize("harm", ["shorter", "other bytes", "gone", "no card", "half a card"])
def test_a_broken_object_is_made_again_by_its_call_alone(
    url: str, tmp_path: Path, harm: str
) -> None:
    heard = Heard()
    two_steps(steps_at(url))
    shutil.rmtree(cache_folder("steps"))
    store = Store(url)
    broken = tmp_path / "broken"
    broken.write_text({"shorter": "b", "other bytes": "x:"}.get(harm, "{"))
    if harm == "gone":
        store.delete(["ingest-0/first/00001/letters.txt"])
    elif harm == "no card":
        store.delete(["ingest-0/first/00001/step.json"])
    elif harm == "half a card":
        store.upload(broken, "ingest-0/first/00001/step.json")
    else:
        store.upload(broken, "ingest-0/first/00001/letters.txt")
    store.delete(["ingest-0/second/00000/step.json"])
    assert two_steps(steps_at(url, heard)) == ["1:a:b:c:", "2:a:b:c:"]
    if harm == "other bytes":  # of the same length: whoever reads them notices
        assert "first 1 left a file that is missing or broken: it is run again" in heard.text
    else:
        assert "  first: 3 buckets, 2 were there" in heard.lines
    assert "  second: 2 buckets, 1 were there" in heard.lines


def test_what_was_let_go_counts_as_there_and_is_made_again_when_it_is_read(url: str) -> None:
    steps = steps_at(url)
    first = steps.run("first", letters, ["a"], [()])
    second = steps.run("second", letters, ["b"], [first[0].files])
    steps.let_go(first)
    assert [entry.key for entry in Store(url).entries("ingest-0/first")] == [
        "ingest-0/first/00000/step.json"
    ]
    again = steps_at(url)
    known = again.run("first", letters, ["a"], [()])
    assert known[0].was_there
    Store(url).delete(["ingest-0/second/00000/letters.txt"])
    shutil.rmtree(cache_folder("steps"))
    assert not again.run("second", letters, ["b"], [known[0].files])[0].was_there
    assert again.whole(second[0].files[0]).read_text() == "b:a:"


def test_copies_that_nobody_uses_go(url: str) -> None:
    for name, used in {"old": time.time() - 25 * 3600, "new": time.time() - 3600}.items():
        copy = cache_folder("steps", name)
        (copy / "letters.txt").touch()
        os.utime(copy, (used, used))
    two_steps(steps_at(url))
    copies = {copy.name for copy in cache_folder("steps").iterdir()}
    assert "new" in copies and "old" not in copies


def test_files_of_whoever_leads_are_brought_to_the_calls(url: str, tmp_path: Path) -> None:
    steps = steps_at(url)
    (tmp_path / "a.txt").write_text("taken")
    inputs = [steps.take(tmp_path / "a.txt"), steps.write("b", lambda path: path.write_text("+"))]
    (tmp_path / "a.txt").unlink()
    [outcome] = steps.run("first", letters, [0], [inputs])
    assert steps.whole(outcome.files[0]).read_text() == "0:taken+"


def test_ingest_leaves_the_bytes_of_one_process(
    url: str, log: Path, undisturbed: str, tmp_path: Path
) -> None:
    steps = Forgetful(Path("ingest-0"), lasts=True, storage=FilesAtUrl(url))
    ingest(str(log), DataConfig(), CLEAN, tmp_path / "log", buckets=BUCKETS, steps=steps)
    assert content_sha256(tmp_path / "log") == undisturbed


def test_each_node_brings_a_log_at_a_url(url: str, log: Path, tmp_path: Path) -> None:
    for file in log.iterdir():
        Store(url).upload(file, f"log/{file.name}")
    left = []
    with LocalRunner(2) as runner:
        steps = Forgetful(Path("ingest-0"), runner, lasts=True, storage=FilesAtUrl(url))
        for name, given in {"here": None, "apart": steps}.items():
            out = tmp_path / name
            ingest(f"{url}/log", DataConfig(), CLEAN, out, buckets=BUCKETS, steps=given)
            left.append(content_sha256(out))
    assert left[0] == left[1]


def test_a_server_that_is_away_for_a_while_changes_nothing(
    url: str,
    server: Any,
    log: Path,
    undisturbed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    monkeypatch.setenv(RETRY_VARIABLE, "300")
    out = tmp_path / "log"
    with way_to(server.port) as way, LocalRunner(2) as runner:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
        steps = Forgetful(
            Path("ingest-0"), runner, lasts=True, storage=FilesAtUrl(url), step="clean", gate=gate
        )
        given = {"buckets": BUCKETS, "steps": steps}
        work = threading.Thread(
            target=ingest, args=(str(log), DataConfig(), CLEAN, out), kwargs=given
        )
        work.start()
        eventually(lambda: len(list(gate.glob("clean-?"))) >= 2, "no two calls started")
        way.cut()
        (gate / "open").touch()
        eventually(lambda: way.refused >= 6, "nobody asked while the server was away")
        way.join()
        eventually(lambda: not work.is_alive(), "the ingest does not end")
    assert content_sha256(out) == undisturbed


def test_a_server_that_stays_away_ends_with_one_line_and_is_gone_on_behind(
    url: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_steps(steps_at(url))
    Store(url).delete(["ingest-0/second/00000/step.json"])
    with way_to(server.port) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
        way.cut()
        with pytest.raises(MachineError, match="cannot reach s3://") as caught:
            two_steps(steps_at(url + "/"))
        assert "\n" not in caught.value.message
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    heard = Heard()
    assert two_steps(steps_at(url, heard)) == ["1:a:b:c:", "2:a:b:c:"]
    assert "  second: 2 buckets, 1 were there" in heard.lines


def test_all_that_a_stage_left_is_cleared_and_nothing_else(url: str, tmp_path: Path) -> None:
    files = FilesAtUrl(url)
    for key in ("ingest-aaa/first", "ingest-bbb/first", "ingest-log/first", "other/ingest-ccc"):
        (tmp_path / "file").write_text(key)
        Store(url).upload(tmp_path / "file", key)
    files.clear("ingest-[ab]??")
    assert [entry.key for entry in Store(url).entries()] == ["ingest-log/first", "other/ingest-ccc"]

"""Bundles that come and go under a service: what answers, and what is refused."""

import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_SECONDS, eventually
from recsys.core.artefacts import switch_link, write_json
from recsys.core.errors import DataError
from recsys.lookup.histories import Event
from recsys.releases.life_cycle import promote
from servers import ask, running
from serving.jobs import KEPT, Jobs
from serving.metrics import Metrics
from serving.problems import Refused
from serving.settings import Settings
from serving.state import Pace, State, load
from worlds import make_contents, write_world


@pytest.fixture
def run(tmp_path: Path, bundle_path: Path, other_bundle_path: Path) -> Path:
    """A run folder with two bundles, of which the first is live."""
    for source in (bundle_path, other_bundle_path):
        shutil.copytree(source, tmp_path / "bundles" / source.name)
    switch_link(tmp_path / "bundle", tmp_path / "bundles" / bundle_path.name)
    return tmp_path


@pytest.fixture
def switching(run: Path) -> Iterator[str]:
    with running(settings_of(run)) as address:
        yield address


def settings_of(run: Path) -> Settings:
    return Settings(
        run / "bundle",
        run,
        events=run / "events.jsonl",
        audit=run / "audit.jsonl",
        poll_seconds=0.05,
    )


def damage(bundle: Path) -> None:
    vectors = bundle / "user_vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-4] + b"\0\0\0\1")


def version(address: str) -> str:
    return ask(f"{address}/v1/recommend/u01")[1]["model_version"]


def wait_for(address: str, wanted: str) -> None:
    eventually(lambda: version(address) == wanted, f"{wanted} never answers")


def test_nothing_that_happens_to_the_files_reaches_the_answers(
    run: Path, bundle_path: Path
) -> None:
    state = State(run / "bundle", Metrics())
    before = state.current.lookup.recommend(["u01"], 5)
    for file in (run / "bundles" / bundle_path.name).iterdir():
        file.write_bytes(b"")
    shutil.rmtree(run / "bundles")
    assert state.current.lookup.recommend(["u01"], 5) == before
    assert state.current.lookup.similar_items(["i01"], 3)[0]["items"]


def test_a_damaged_bundle_is_refused_and_the_old_one_stays(
    run: Path, bundle_path: Path, other_bundle_path: Path
) -> None:
    metrics = Metrics()
    state = State(run / "bundle", metrics)
    damage(run / "bundles" / other_bundle_path.name)
    switch_link(run / "bundle", run / "bundles" / other_bundle_path.name)
    with pytest.raises(DataError, match=r"user_vectors\.npy"):
        state.reload()
    assert state.current.version == bundle_path.name
    assert isinstance(state.refused, DataError)
    outcomes = {
        name: metrics.registry.get_sample_value("recsys_reloads_total", {"outcome": name})
        for name in ("loaded", "refused")
    }
    assert outcomes == {"loaded": 1, "refused": 1}


def test_a_refused_bundle_is_tried_once(
    run: Path, other_bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(run / "bundle", Metrics())
    damage(run / "bundles" / other_bundle_path.name)
    switch_link(run / "bundle", run / "bundles" / other_bundle_path.name)
    tries: list[Path] = []
    monkeypatch.setattr(
        "serving.state.load", lambda path, between: (tries.append(path), load(path, between))[1]
    )
    state.follow()
    state.follow()
    assert len(tries) == 1


def test_a_reload_takes_small_steps_and_rests_between_them(bundle_path: Path) -> None:
    steps: list[float] = []
    pace = Pace(0.25)

    def between() -> None:
        began, worked = time.perf_counter(), pace.worked
        pace()
        steps.append((time.perf_counter() - began) / worked)

    load(bundle_path, between)
    assert len(steps) > 64, "every golden request is a step, and every file"
    assert min(steps) >= 3, "a quarter of the time is work"


@pytest.mark.parametrize(("seconds", "is_kept"), [(2 * PATIENCE_SECONDS, True), (0.0, False)])
def test_the_bundle_before_stays_while_answers_from_it_are_under_way(
    run: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, is_kept: bool
) -> None:
    """Its files are freed by whoever lets go of it last: no thread that makes lists may be that."""
    monkeypatch.setattr("serving.state._LONGEST_ANSWER_SECONDS", seconds)
    state = State(run / "bundle", Metrics())
    before = weakref.ref(state.current.bundle)
    state.reload()
    if is_kept:
        assert before() is not None
    else:
        eventually(lambda: before() is None, "it is never let go")


def test_a_service_does_not_start_on_a_damaged_bundle(run: Path, bundle_path: Path) -> None:
    damage(run / "bundles" / bundle_path.name)
    with pytest.raises(DataError):
        State(run / "bundle", Metrics())


def test_events_that_the_bundle_has_learnt_from_are_not_news(tmp_path: Path) -> None:
    contents = make_contents()
    embeddings = replace(
        contents.embeddings, encoder=replace(contents.embeddings.encoder, now=1_700_000_000)
    )
    served = load(write_world(tmp_path, replace(contents, embeddings=embeddings)))
    bought = served.bundle.items.external(served.bundle.seen["buy"][3].indices[:1])[0]
    old, again = Event(bought, "buy", 1_650_000_000), Event(bought, "buy", 1_800_000_000)
    viewed, fresh = Event(bought, "view", 1_650_000_000), Event("brand new", "buy", 1_650_000_000)
    assert served.news("u03", (old, again, viewed, fresh)) == (again, viewed, fresh)
    assert served.news("stranger", (old,)) == (old,)
    # The log truncates the second in which the model's last event was.
    last = Event(bought, "buy", 1_700_000_000.75)
    assert served.news("u03", (last, last._replace(time=1_700_000_001.0))) == (
        last._replace(time=1_700_000_001.0),
    )


def test_the_link_is_followed(switching: str, run: Path, other_bundle_path: Path) -> None:
    switch_link(run / "bundle", run / "bundles" / other_bundle_path.name)
    wait_for(switching, other_bundle_path.name)


def test_a_refused_bundle_is_told_by_readiness(
    switching: str, run: Path, bundle_path: Path, other_bundle_path: Path
) -> None:
    damage(run / "bundles" / other_bundle_path.name)
    switch_link(run / "bundle", run / "bundles" / other_bundle_path.name)
    status, problem = ask(f"{switching}/v1/admin/reload", method="POST")
    assert (status, "user_vectors.npy" in problem["detail"]) == (409, True)
    assert problem["code"] == "bundle_refused"
    status, ready = ask(f"{switching}/readyz")
    assert (status, ready["model_version"]) == (200, bundle_path.name)
    assert "log says why" in ready["refused"] and str(run) not in ready["refused"]


def test_promote_and_rollback_are_done_and_recorded(
    switching: str, run: Path, bundle_path: Path, other_bundle_path: Path
) -> None:
    first, second = bundle_path.name, other_bundle_path.name
    status, job = ask(f"{switching}/v1/admin/promote", {"bundle": second})
    assert (status, job["state"], job["share"]) == (200, "done", 1.0)
    assert (job["model_version"], job["before"]) == (second, first)
    assert version(switching) == second
    assert ask(f"{switching}/v1/admin/jobs/{job['job']}") == (200, job)
    back = ask(f"{switching}/v1/admin/rollback", method="POST")[1]
    assert (back["model_version"], back["before"]) == (first, second)
    assert ask(f"{switching}/v1/admin/promote", {"bundle": "0" * 12})[0] == 409
    listed = ask(f"{switching}/v1/admin/bundles")[1]["bundles"]
    assert {one["name"]: one["live"] for one in listed} == {first: True, second: False}
    audit = (run / "audit.jsonl").read_text()
    assert [second in audit, "rollback" in audit, "refused: there is no bundle" in audit] == [
        True
    ] * 3


def test_of_two_promotes_at_once_each_is_done_or_refused(
    switching: str, run: Path, bundle_path: Path, other_bundle_path: Path
) -> None:
    names = [other_bundle_path.name, bundle_path.name] * 4
    with ThreadPoolExecutor(8) as clients:
        found = list(
            clients.map(lambda name: ask(f"{switching}/v1/admin/promote", {"bundle": name}), names)
        )
    assert {status for status, _ in found} <= {200, 202, 409}
    assert 200 in {status for status, _ in found}
    wait_for(switching, (run / "bundle").resolve().name)


def test_a_long_promotion_goes_on_without_its_client(
    switching: str,
    run: Path,
    other_bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of a bundle of gigabytes: 202 and the place to ask, never a failure while it happens."""
    may_end = threading.Event()

    def slowly(*asked: Any) -> object:
        may_end.wait(PATIENCE_SECONDS)
        return promote(*asked)

    monkeypatch.setattr("serving.routes.admin.promote_bundle", slowly)
    name = other_bundle_path.name
    status, job = ask(f"{switching}/v1/admin/promote?wait=0", {"bundle": name})
    assert (status, job["action"], job["share"]) == (202, f"promote {name}", 0.0)
    place = f"{switching}/v1/admin/jobs/{job['job']}"
    eventually(lambda: ask(place)[1]["state"] == "running", "it does not begin")
    waits = ask(f"{switching}/v1/admin/reload?wait=0", method="POST")[1]
    assert ask(f"{switching}/v1/admin/jobs/{waits['job']}")[1]["state"] == "waiting"
    assert not (run / "audit.jsonl").exists()
    may_end.set()
    eventually(lambda: ask(place)[1]["state"] == "done", "it does not end")
    assert ask(place)[1]["model_version"] == version(switching) == name
    eventually(lambda: (run / "audit.jsonl").read_text().count("\n") == 2, "no line is kept")


def test_a_stopping_service_ends_a_reload(
    run: Path, other_bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of a core takes minutes for a bundle of gigabytes; here it would take for ever."""
    monkeypatch.setattr("serving.state.Pace.__call__", lambda pace: time.sleep(0.001))
    begun = threading.Event()

    def endless(bundle: Any, between: Callable[[], None]) -> None:
        begun.set()
        while True:
            between()

    with running(settings_of(run)) as address:
        monkeypatch.setattr("serving.state.replay_golden", endless)
        job = ask(f"{address}/v1/admin/reload?wait=0", method="POST")[1]
        begun.wait(PATIENCE_SECONDS)
    ended = Jobs(run / "jobs", lambda *line: None).get(job["job"])
    assert (ended["state"], "the service stops" in ended["detail"]) == ("refused", True)


def test_a_promotion_rests_too_and_a_stopping_service_ends_it(
    run: Path, bundle_path: Path, other_bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is verified as it is loaded, before the switch: once, in small steps."""
    steps: list[None] = []
    monkeypatch.setattr("serving.state.Pace.__call__", lambda pace: steps.append(None))
    begun = threading.Event()

    def endless(bundle: Any, between: Callable[[], None]) -> None:
        begun.set()
        while True:
            between()
            time.sleep(0.001)

    with running(settings_of(run)) as address:
        monkeypatch.setattr("serving.state.replay_golden", endless)
        body = {"bundle": other_bundle_path.name}
        job = ask(f"{address}/v1/admin/promote?wait=0", body)[1]
        begun.wait(PATIENCE_SECONDS)
    ended = Jobs(run / "jobs", lambda *line: None).get(job["job"])
    assert (ended["state"], "the service stops" in ended["detail"]) == ("refused", True)
    assert len(steps) > len(list(other_bundle_path.iterdir())), "every file is a step, at least"
    assert (run / "bundle").resolve().name == bundle_path.name


def test_a_bug_in_a_job_is_told_and_recorded(
    switching: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*asked: object) -> object:
        raise RuntimeError("as an example")

    monkeypatch.setattr("serving.routes.admin.roll_back", fail)
    status, problem = ask(f"{switching}/v1/admin/rollback", method="POST")
    assert (status, "RuntimeError: as an example" in problem["detail"]) == (500, True)
    assert problem["code"] == "internal_error"
    assert '"outcome":"failed: a bug"' in (run / "audit.jsonl").read_text()


def test_jobs_are_told_by_every_worker_and_not_kept_for_ever(tmp_path: Path) -> None:
    records: list[tuple[str, str, str]] = []
    jobs = Jobs(tmp_path / "jobs", lambda *line: records.append(line))
    started = [
        jobs.start("key", f"reload {one}", lambda tell: ("b", "a")) for one in range(KEPT + 9)
    ]
    for _, end in started:
        end.result()
    another = Jobs(tmp_path / "jobs", lambda *line: None)
    assert another.get(started[-1][0])["state"] == "done"
    assert len(list((tmp_path / "jobs").iterdir())) == KEPT
    assert records[-1] == ("key", f"reload {KEPT + 8}", "b")
    for unknown in (started[0][0], "../audit", ""):
        with pytest.raises(Refused, match="no job"):
            another.get(unknown)
    jobs.close()


def test_a_job_is_told_while_its_file_waits_for_a_busy_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks is answered in the event loop, where nothing may wait for a disk."""
    begins, writes, may_end = threading.Event(), threading.Event(), threading.Event()

    def slowly(path: Path, document: Any) -> None:
        writes.set()
        may_end.wait(PATIENCE_SECONDS)
        write_json(path, document)

    def work(tell: Callable[[float], None]) -> tuple[str, str]:
        begins.wait(PATIENCE_SECONDS)
        tell(0.5)
        return "b", "a"

    jobs = Jobs(tmp_path / "jobs", lambda *line: None)
    name, end = jobs.start("key", "reload", work)
    eventually(lambda: jobs.get(name)["state"] == "running", "it does not begin")
    monkeypatch.setattr("serving.jobs.write_json", slowly)
    begins.set()
    assert writes.wait(PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as asking:
        told = asking.submit(jobs.get, name)
        try:
            assert told.result(PATIENCE_SECONDS)["share"] == 0.5
        finally:
            may_end.set()
    end.result()
    jobs.close()


def test_a_job_of_a_process_that_ended_is_lost(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    job = {"job": "a1", "action": "reload", "state": "running", "share": 0.5, "began": 0.0}
    write_json(tmp_path / "a1.json", {**job, "process": ended.pid})
    assert Jobs(tmp_path, lambda *line: None).get("a1")["state"] == "lost"


def test_a_path_is_no_bundle(switching: str) -> None:
    for name in ("../../etc", "/", ".", "a" * 11 + "/"):
        assert ask(f"{switching}/v1/admin/promote", {"bundle": name})[0] == 422

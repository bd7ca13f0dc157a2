"""How things stand in a service, as Prometheus is told, by one process and by several."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from patience import PATIENCE_SECONDS, eventually
from servers import ask, connected, is_ready, running
from serving.processes import SHARED, Workers
from serving.settings import Settings

NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed"
)


def figures(address: str) -> dict[str, float]:
    """Values by series, as they are written."""
    text = ask(f"{address}/metrics")[1]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def of_pids(told: dict[str, float], name: str) -> dict[int, float]:
    found = {}
    for series, value in told.items():
        if of_process := re.fullmatch(name + r'\{pid="(\d+)"\}', series):
            found[int(of_process[1])] = value
    return found


def test_a_process_tells_what_the_system_knows_of_it(address: str) -> None:
    told = figures(address)
    [(pid, memory)] = of_pids(told, "process_resident_memory_bytes").items()
    process = psutil.Process()
    assert pid == os.getpid()
    assert memory == pytest.approx(process.memory_info().rss, rel=0.5)
    assert of_pids(told, "process_start_time_seconds")[pid] == pytest.approx(
        process.create_time(), abs=2
    )
    assert 0 < of_pids(told, "process_open_fds")[pid] < of_pids(told, "process_max_fds")[pid]
    assert of_pids(told, "process_threads")[pid] >= 2
    assert of_pids(told, "process_cpu_seconds_total")[pid] > 0
    assert any(series.startswith("python_gc_collections_total{") for series in told)
    python = ".".join(map(str, sys.version_info[:3]))
    [build] = [series for series in told if series.startswith("recsys_build_info{")]
    assert f'python="{python}"' in build and 'version="' in build


def test_no_counter_is_told_twice(address: str) -> None:
    ask(f"{address}/v1/recommend/u01")
    assert not [series for series in figures(address) if "_created" in series.partition("{")[0]]


def test_what_is_under_way_is_counted_while_it_is(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two answers are held back; a third client only connects."""
    may_go = threading.Event()

    def wait(*asked: object) -> dict[str, object]:
        may_go.wait(PATIENCE_SECONDS)
        return {"items": [], "model_version": "x"}

    before = figures(address)
    assert before["recsys_requests_under_way"] == 1  # the question for it
    monkeypatch.setattr("serving.catalogue.similar_items", wait)
    with ThreadPoolExecutor(2) as clients, connected(address):
        asked = [clients.submit(ask, f"{address}/v1/similar/i01") for _ in range(2)]
        eventually(
            lambda: figures(address)["recsys_requests_under_way"] == 3, "nothing is under way"
        )
        open_now = figures(address)["recsys_connections"]
        may_go.set()
        assert [answer.result()[0] for answer in asked] == [200, 200]
    assert open_now >= before["recsys_connections"] + 3
    eventually(lambda: figures(address)["recsys_requests_under_way"] == 1, "it goes on")


def test_live_events_and_lines_that_are_none(bundle_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with running(Settings(bundle_path, events=log)) as address:
        event = {"user": "u01", "item": "i01"}
        ask(f"{address}/v1/events", {"events": [event, event, event]})
        with log.open("a") as file:
            file.write("no event\n")
        ask(f"{address}/v1/recommend/u01")  # reads the log on
        told = figures(address)
    assert (told["recsys_live_events"], told["recsys_broken_event_lines"]) == (3, 1)
    assert told['recsys_waiting_requests{queue="events"}'] == 0
    assert told["recsys_jobs"] == 0 and told["recsys_dear_price_seconds"] == 0


def test_a_worker_that_has_only_made_its_file_spoils_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands between the making of a file and its first length."""
    counted = MmapedDict(str(tmp_path / "counter_1.db"))
    counted.write_value(mmap_key("recsys_asked", "recsys_asked_total", [], [], "Asked."), 3, 0)
    counted.close()
    (tmp_path / "counter_2.db").touch()
    (tmp_path / "gauge_livesum_2.db").touch()
    monkeypatch.setenv(SHARED, str(tmp_path))
    registry = CollectorRegistry()
    Workers(registry)
    assert registry.get_sample_value("recsys_asked_total") == 3


@pytest.fixture
def workers(bundle_path: Path) -> Iterator[str]:
    """The address of a service of two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "serve", str(bundle_path)]
    service = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "2"], stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_ready(address), "the service does not start")
        yield address
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(PATIENCE_SECONDS)


def pids(address: str) -> set[int]:
    return set(of_pids(figures(address), "process_resident_memory_bytes"))


def test_workers_are_told_together_and_the_dead_are_not(workers: str) -> None:
    eventually(lambda: len(pids(workers)) == 2, "not both workers are told")
    told = figures(workers)
    assert set(of_pids(told, "process_cpu_seconds_total")) == pids(workers)
    for _ in range(20):
        assert ask(f"{workers}/v1/recommend/u01")[0] == 200
    assert figures(workers)['recsys_answers_total{source="model"}'] == 20
    before = pids(workers)
    victim = min(before)
    with connected(workers):
        os.kill(victim, signal.SIGKILL)
        eventually(
            lambda: is_ready(workers) and len(pids(workers) - {victim}) == 2, "nobody takes over"
        )
    assert victim not in pids(workers)
    told = figures(workers)
    assert told['recsys_answers_total{source="model"}'] == 20  # what the dead has counted stays
    eventually(
        lambda: figures(workers)["recsys_requests_under_way"] == 1, "the dead is at work still"
    )
    assert not [series for series in told if "_created" in series]


@NEEDS_PROMTOOL
def test_promtool_finds_no_fault_with_the_figures_of_workers(workers: str) -> None:
    ask(f"{workers}/v1/recommend/u01")
    text = ask(f"{workers}/metrics")[1]
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")

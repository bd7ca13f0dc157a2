"""What goes wrong around a service: large, slow and many clients, a full disk, a kill."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from patience import PATIENCE_SECONDS, eventually
from servers import ask, connected, head, is_ready, running
from serving.settings import Settings

PROGRAM = """
import sys
from pathlib import Path
from serving.server import serve
from serving.settings import Settings
serve(Settings(Path(sys.argv[1]), port=int(sys.argv[2]), workers=int(sys.argv[3]), events=Path(sys.argv[4])))
"""


@contextmanager
def process(bundle: Path, events: Path, workers: int = 1) -> Iterator[tuple[str, subprocess.Popen]]:
    """A service in a process group of its own: its address, and the process to be killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", PROGRAM, str(bundle), str(port), str(workers), str(events)]
    server = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_ready(address), "the service does not start")
        yield address, server
    finally:
        kill(server)


def kill(server: subprocess.Popen) -> None:
    """The whole group, workers included, without a chance to say goodbye."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_a_body_of_100_megabytes_is_refused_by_its_announcement(address: str) -> None:
    with connected(address) as client:
        client.sendall(head("/v1/recommend", 100_000_000))
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_without_a_length_is_cut_off_where_the_limit_is(address: str) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with connected(address) as client:
        client.sendall(
            head("/v1/recommend", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        )
        answer = b""
        for _ in range(100):
            try:
                client.sendall(chunk)
            except OSError:  # the service has answered and closed
                break
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 413") or not answer
    assert ask(f"{address}/healthz")[0] == 200


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(65_536)
    except OSError:
        return b""


def test_another_kind_of_body_is_refused(address: str) -> None:
    assert (
        ask(
            f"{address}/v1/recommend",
            b"user=u01",
            {"Content-Type": "application/x-www-form-urlencoded"},
        )[0]
        == 415
    )


def test_a_slow_client_is_cut_off_and_others_do_not_notice(bundle_path: Path) -> None:
    with (
        running(Settings(bundle_path, header_seconds=0.3)) as address,
        connected(address) as silent,
        connected(address) as slow,
    ):
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
        assert (silent.recv(1), slow.recv(1)) == (b"", b"")
    with running(Settings(bundle_path, body_seconds=0.3)) as address, connected(address) as body:
        body.sendall(head("/v1/recommend", 50) + b"{")
        assert ask(f"{address}/v1/recommend/u01")[0] == 200
        assert body.recv(65_536).startswith(b"HTTP/1.1 408")


def test_headers_without_an_end_are_cut_off(address: str) -> None:
    with connected(address) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        with suppress(OSError):
            for _ in range(100):
                client.sendall(b"X-More: " + b"x" * 10_000 + b"\r\n")
            assert client.recv(12) == b"HTTP/1.1 431"
    assert ask(f"{address}/healthz")[0] == 200


def test_too_many_headers_in_one_piece_are_refused(address: str) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (one, b"x" * 20) for one in range(3000))
    with connected(address) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + b"\r\n")
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 431") and b"the headers are over 65,536 bytes" in answer


def test_an_answer_that_takes_too_long_is_given_up(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()
    monkeypatch.setattr(
        "serving.catalogue.similar_items", lambda *asked: given_up.wait(PATIENCE_SECONDS)
    )
    with running(Settings(bundle_path, answer_seconds=0.5)) as address:
        status, problem = ask(f"{address}/v1/similar/i01")
        given_up.set()
        assert (status, "0.5 seconds" in problem["detail"]) == (503, True)
        eventually(lambda: ask(f"{address}/v1/recommend/u01")[0] == 200, "others wait for it")


def test_a_client_that_leaves_in_the_middle_harms_nobody(address: str) -> None:
    for _ in range(20):
        with connected(address) as client:
            client.sendall(head("/v1/recommend", 50) + b"{")
        with connected(address) as client:
            client.sendall(b"GET /v1/recommend/u01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert ask(f"{address}/v1/recommend/u01")[0] == 200


def test_a_history_of_ten_thousand_events_is_answered(address: str) -> None:
    events = [
        {"item": f"i{place % 60:02}", "behavior": "view", "time": place} for place in range(10_000)
    ]
    status, found = ask(f"{address}/v1/recommend", {"requests": [{"history": events}], "k": 5})
    assert (status, found["answers"][0]["source"], len(found["answers"][0]["items"])) == (
        200,
        "fold_in",
        5,
    )


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"requests": [{"user": "u01"}], "deny": [f"i{place:02}" for place in range(40)]}, 0),
        ({"requests": [{"user": "u01"}], "allow": []}, 0),
        (
            {
                "requests": [{"user": "u01"}],
                "allow": ["i01", "i02", "nothing"],
                "exclude_seen": False,
            },
            2,
        ),
        ({"requests": [{"history": []}]}, 10),
        ({"requests": [{"user": "u01"}], "k": 1000, "exclude_seen": False}, 39),
        ({"requests": [{"user": "u01"}], "offset": 1000}, 0),
    ],
)
def test_lists_that_cannot_be_full_say_so(address: str, body: dict, count: int) -> None:
    status, found = ask(f"{address}/v1/recommend", body)
    [answer] = found["answers"]
    assert (status, len(answer["items"])) == (200, count)
    assert ("note" in answer) == (count < body.get("k", 10))


def test_a_thousand_connections_at_once_are_all_answered(bundle_path: Path, tmp_path: Path) -> None:
    async def one(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.5)  # until all are open
        writer.write(
            b"GET /v1/recommend/u01 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
        return answer[:12]

    async def all_at_once(port: int) -> set[bytes]:
        return set(await asyncio.gather(*(one(port) for _ in range(1000))))

    with process(bundle_path, tmp_path / "events.jsonl") as (address, _):
        assert asyncio.run(all_at_once(urlsplit(address).port or 0)) == {b"HTTP/1.1 200"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where the system lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_refuses_events_and_goes_on_answering(
    bundle_path: Path, small_disk: Path
) -> None:
    events, many = small_disk / "events.jsonl", {"events": [{"user": "u01", "item": "i01"}] * 300}
    accepted = 0
    with running(Settings(bundle_path, events=events)) as address:
        for _ in range(10):
            status, found = ask(f"{address}/v1/events", many)
            accepted += found.get("accepted", 0)
        assert (status, found["detail"]) == (503, "the events cannot be written")
        assert found["code"] == "events_not_written"
        assert ask(f"{address}/v1/recommend/u01")[0] == 200
    assert len([json.loads(line) for line in events.read_text().splitlines()]) == accepted > 0


def test_a_kill_under_load_loses_no_acknowledged_event(bundle_path: Path, tmp_path: Path) -> None:
    events, acknowledged = tmp_path / "events.jsonl", []

    def send(address: str, name: str) -> None:
        for place in range(100_000):
            event = {"user": name, "item": f"{name}-{place}"}
            try:
                status, _ = ask(f"{address}/v1/events", {"events": [event]})
            except (OSError, ValueError, HTTPException):
                return
            acknowledged.extend([event["item"]] * (status == 200))

    with process(bundle_path, events, workers=2) as (address, server):
        senders = [threading.Thread(target=send, args=(address, f"s{place}")) for place in range(4)]
        for one in senders:
            one.start()
        while len(acknowledged) < 40:
            time.sleep(0.01)
        kill(server)
        for one in senders:
            one.join()
    kept = [
        json.loads(line)["item_id"]
        for line in events.read_text().splitlines(True)
        if line.endswith("\n")
    ]
    assert set(acknowledged) <= set(kept)
    with process(bundle_path, events) as (address, _):
        assert ask(f"{address}/v1/recommend/s0")[0] == 200


def test_a_killed_worker_is_replaced(bundle_path: Path, tmp_path: Path) -> None:
    def workers() -> set[int]:
        return {one.pid for one in psutil.Process(server.pid).children() if works(one)}

    def works(child: psutil.Process) -> bool:
        try:
            return "spawn_main" in " ".join(child.cmdline())
        except (
            psutil.NoSuchProcess
        ):  # it ended between the listing and the question, or is a zombie
            return False

    with process(bundle_path, tmp_path / "events.jsonl", workers=2) as (address, server):
        before = workers()
        os.kill(min(before), signal.SIGKILL)
        eventually(lambda: len(workers() - {min(before)}) == 2, "the worker is not replaced")
        assert {ask(f"{address}/v1/recommend/u01")[0] for _ in range(20)} == {200}


def test_workers_see_each_others_events_and_add_up_their_figures(
    bundle_path: Path, tmp_path: Path
) -> None:
    with process(bundle_path, tmp_path / "events.jsonl", workers=2) as (address, _):
        first = ask(f"{address}/v1/recommend/u03?k=40")[1]["items"][0]["id"]
        ask(f"{address}/v1/events", {"events": [{"user": "u03", "item": first}]})
        for _ in range(20):
            assert first not in [
                one["id"] for one in ask(f"{address}/v1/recommend/u03?k=40")[1]["items"]
            ]
        text = ask(f"{address}/metrics")[1]
        assert 'recsys_answers_total{source="fold_in"} 20.0' in text

"""What one client may take: prices before the work, work that ends when nobody waits, connections."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator

from patience import PATIENCE_SECONDS, eventually
from recsys.core.errors import UsageError
from recsys.lookup.histories import Event
from recsys.lookup.lookup import Lookup
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from servers import ask, connected, head, is_ready, running
from serving.bodies.sliced import Aside
from serving.dear import Work
from serving.keys import new_key
from serving.price import AT_MOST, Prices, require_affordable
from serving.protocol import PatientProtocol
from serving.routes.body import read
from serving.settings import Settings

DEAR = 40.0
FILMS = Prices(items=9066, width=64)
WIDE = Prices(items=9066, width=576)
USER = Query("1")


def test_a_plain_list_costs_a_millisecond_and_is_not_dear() -> None:
    assert 0.5 < FILMS.plain_list < 2
    assert FILMS.lists([USER] * 16, ListOptions(k=10)) < FILMS.dear
    assert FILMS.lists([USER], ListOptions(k=10, explain=True)) < FILMS.dear


def test_a_plain_list_of_a_large_catalogue_is_not_dear() -> None:
    large = Prices(items=10_000_000, width=128)
    assert large.plain_list < large.dear
    assert Prices(10_000_000, 128, has_index=True).plain_list < 2


@pytest.mark.parametrize(
    ("queries", "options"),
    [
        ([USER] * 256, {"k": 1000, "explain": True}),
        ([Query(None, (Event("1"),) * 20_000)] * 256, {}),
        ([Query(None, friends=("1",) * 1000)] * 256, {}),
    ],
)
def test_what_would_take_minutes_is_refused(queries: list[Query], options: dict[str, Any]) -> None:
    price = FILMS.lists(queries, ListOptions(**options))
    with pytest.raises(UsageError, match=r"at most 5 are given\. Ask for fewer lists"):
        require_affordable(price)


def test_diversity_of_wide_vectors_is_refused_and_of_less_is_not() -> None:
    options = ListOptions(k=1000, diversity=0.5)
    assert WIDE.lists([USER] * 256, options) > AT_MOST
    assert WIDE.lists([USER] * 8, options) < AT_MOST  # as the remedy says


def test_everything_named_has_a_price() -> None:
    plain = FILMS.lists([USER], ListOptions())
    dearer: list[tuple[Query, dict[str, Any]]] = [
        (USER, {"k": 1000}),
        (USER, {"offset": 900}),
        (USER, {"diversity": 0.1, "k": 100}),
        (USER, {"explain": True}),
        (USER, {"allow": ["1"] * 100_000}),
        (USER, {"deny": ["1"] * 100_000}),
        (USER, {"filters": {"genres": [str(one) for one in range(100)]}}),
        (Query(None, (Event("1"),) * 1000), {}),
        (Query(None, attributes={"country": ["de"] * 100}), {}),
        (Query(None, friends=["1"] * 100), {}),
    ]
    for query, options in dearer:
        assert FILMS.lists([query], ListOptions(**options)) > 1.5 * plain


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"filters": {"genres": ["Drama"] * 101}}, "filters.genres"),
        ({"filters": {"genres": ["x" * 1025]}}, "filters.genres"),
        ({"exclude_seen": ["view"] * 21}, "exclude_seen"),
        ({"requests": [{"attributes": {"country": ["de"] * 101}}]}, "attributes.country"),
        ({"requests": [{"history": [{"item": "i01", "behavior": "x" * 1025}]}]}, "behavior"),
    ],
)
def test_inner_lists_are_bounded(address: str, body: dict[str, Any], place: str) -> None:
    status, problem = ask(f"{address}/v1/recommend", {"requests": [{"user": "u01"}], **body})
    assert status == 422 and place in problem["detail"]


def test_a_value_named_often_counts_once() -> None:
    once = ListOptions(filters={"genres": ["Drama"] * 1000}).filters
    assert once["genres"].any == ("Drama",)


def test_lookup_may_be_ended_between_its_steps(lookup: Lookup) -> None:
    """Before every query, group that is read, block of lists, diversified list, group that is traced
    and run of places that are explained.
    """
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    queries = [Query("u01"), Query("u02")]
    lookup.answer(queries, ListOptions(k=3), between=count)
    assert calls == len(queries) + 1 + 1
    calls = 0
    lookup.answer(queries, ListOptions(k=3, explain=True, diversity=0.5), between=count)
    assert calls == 2 + 1 + 1 + 2 + 1 + 2


class Endless:
    """In place of a lookup's answers: work that ends when it is told to, and counts itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.ended = 0
        monkeypatch.setattr("serving.price.Prices.lists", lambda *asked: DEAR)
        monkeypatch.setattr("serving.price.Prices.dear", DEAR - 1)
        answer_each = Lookup.answer_each
        monkeypatch.setattr(
            Lookup,
            "answer_each",
            lambda lookup, *asked: (
                self.answer(asked[-1])
                if isinstance(asked[-1], Work)
                else answer_each(lookup, *asked)
            ),
        )

    def answer(self, between: Work) -> list[Any]:
        self.begun += 1
        try:
            while True:
                between()
                time.sleep(0.001)
        finally:
            self.ended += 1


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    return Endless(monkeypatch)


BODY = json.dumps({"requests": [{"user": "u01"}]}).encode()


def test_work_ends_when_its_client_leaves(bundle_path: Path, endless: Endless) -> None:
    with running(Settings(bundle_path)) as address:
        with connected(address) as client:
            client.sendall(head("/v1/recommend", len(BODY)) + BODY)
            eventually(lambda: endless.begun == 1, "the work does not begin")
        eventually(lambda: endless.ended == 1, "the work goes on for nobody")
        assert ask(f"{address}/v1/items/i01")[0] == 200


def test_work_ends_when_its_time_is_over(bundle_path: Path, endless: Endless) -> None:
    with running(Settings(bundle_path, answer_seconds=0.5)) as address:
        while not endless.begun:  # its time may be over before
            status, problem = ask(f"{address}/v1/recommend", BODY)
            assert (status, "0.5 seconds" in problem["detail"]) == (503, True)
            assert problem["code"] == "no_answer_in_time"
        eventually(lambda: endless.ended == 1, "the work goes on for nobody")


def test_dear_work_waits_in_a_short_line_and_others_go_on(
    bundle_path: Path, endless: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.dear._AT_ONCE", 2 * DEAR)
    with running(Settings(bundle_path)) as address:
        clients = [connected(address) for _ in range(2)]
        for client in clients:
            client.sendall(head("/v1/recommend", len(BODY)) + BODY)
        eventually(lambda: endless.begun == 1, "the work does not begin")
        eventually(lambda: ask(f"{address}/v1/recommend", BODY)[0] == 503, "all may wait")
        assert ask(f"{address}/v1/recommend", BODY)[1]["code"] == "busy"
        assert ask(f"{address}/v1/items/i01")[0] == 200  # another thread answers
        assert ask(f"{address}/v1/similar/i01")[0] == 200
        for client in clients:
            client.close()
        eventually(lambda: endless.ended == endless.begun, "the work goes on for nobody")


def test_a_stopping_service_ends_what_is_dear(bundle_path: Path, endless: Endless) -> None:
    with running(Settings(bundle_path, stop_seconds=1)) as address:
        client = connected(address)
        client.sendall(head("/v1/recommend", len(BODY)) + BODY)
        eventually(lambda: endless.begun == 1, "the work does not begin")
    assert endless.ended == 1  # `running` has waited for the server's end
    client.close()


def test_a_key_pays_for_what_it_asks(bundle_path: Path, tmp_path: Path) -> None:
    """Eight plain lists at once, or one that costs as much; a key in debt waits."""
    token, lines = new_key("shop", ["read"], rate=0.001)
    keys = tmp_path / "keys.toml"
    keys.write_text(lines + "burst = 8\n")
    headers = {"Authorization": f"Bearer {token}"}
    body = {"requests": [{"user": "u01"}] * 64, "explain": True}
    with running(Settings(bundle_path, keys=keys)) as address:
        assert ask(f"{address}/v1/recommend/u01", headers=headers)[0] == 200
        status, problem = ask(f"{address}/v1/recommend", body, headers)
        assert (status, "plain lists a second" in problem["detail"]) == (429, True)


def test_a_client_that_does_not_read_is_cut_off(
    bundle_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long answers that nobody reads: they would lie in the buffers for ever."""
    connect = PatientProtocol.connection_made

    def connect_with_small_buffers(protocol: PatientProtocol, transport: asyncio.Transport) -> None:
        its_socket = transport.get_extra_info("socket")
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connect(protocol, transport)

    monkeypatch.setattr(PatientProtocol, "connection_made", connect_with_small_buffers)
    with (
        running(Settings(bundle_path, write_seconds=0.4)) as address,
        connected(address) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(90):
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        eventually(lambda: "did not read for 0.4 seconds" in caplog.text, "it is not cut off")
        assert ask(f"{address}/healthz")[0] == 200


def test_requests_that_wait_on_one_connection_are_limited(
    bundle_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with running(Settings(bundle_path)) as address:
        with connected(address) as client:
            client.sendall(request * 90)
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 90:
                answers += client.recv(65_536)
        with connected(address) as client:
            client.sendall(request * 5000)
            eventually(lambda: "over 100 requests wait" in caplog.text, "all are kept")
        assert ask(f"{address}/healthz")[0] == 200


def test_connections_are_limited_and_told(
    bundle_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(Settings(bundle_path, connections=20)) as address:
        clients = [connected(address) for _ in range(30)]
        eventually(lambda: "20 are open, the most" in caplog.text, "nothing is logged")
        for client in clients:
            client.close()
        eventually(lambda: is_ready(address), "the service does not recover")


def test_bodies_under_way_keep_large_ones_out_and_small_ones_not(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.guard.BODIES_BYTES", 400_000)
    large = json.dumps({"requests": [{"user": "u01"}], "deny": ["x" * 1000] * 150}).encode()
    with running(Settings(bundle_path)) as address:
        held = [connected(address) for _ in range(3)]
        for client in held:  # announced by each: far more than all may hold
            client.sendall(head("/v1/recommend", 8_000_000) + large)
        eventually(lambda: ask(f"{address}/v1/recommend", large)[0] == 503, "all are let in")
        assert ask(f"{address}/v1/recommend", BODY)[0] == 200
        for client in held:
            client.close()
        eventually(lambda: ask(f"{address}/v1/recommend", large)[0] == 200, "none is let in")


def test_large_bodies_are_read_beside_the_event_loop() -> None:
    threads = []

    def note(value: object) -> object:
        threads.append(threading.current_thread().name)
        return value

    class Names(BaseModel):
        names: Annotated[list[Annotated[str, BeforeValidator(note)]], Aside()]

    body = asyncio.run(read(Names, json.dumps({"names": ["a"] * 2000}).encode()))
    assert body == Names.model_construct(names=["a"] * 2000)
    assert len(threads) == 2000 and {name[:4] for name in threads} == {"body"}
    with pytest.raises(RequestValidationError):
        asyncio.run(read(Names, b'{"names": [1]}'))


PROGRAM = """
import sys
from pathlib import Path
from recsys.lookup.lookup import Lookup
from serving.price import Prices
from serving.server import serve
from serving.dear import Work
from serving.settings import Settings

answer_each = Lookup.answer_each

def endless(*asked):
    if not isinstance(asked[-1], Work):
        return answer_each(*asked)
    print("begun", flush=True)
    while True:
        asked[-1]()

Lookup.answer_each = endless
Prices.lists, Prices.dear = lambda *asked: 100.0, 99.0
serve(Settings(Path(sys.argv[1]), port=int(sys.argv[2]), stop_seconds=1, drain_seconds=float(sys.argv[3])))
"""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    yield number


def start(bundle: Path, port: int, drain: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(bundle), str(port), str(drain)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: is_ready(f"http://127.0.0.1:{port}"), "the service does not start")
    return server


def test_sigterm_ends_a_service_that_is_at_work(bundle_path: Path, port: int) -> None:
    server = start(bundle_path, port)
    with connected(f"http://127.0.0.1:{port}") as client:
        client.sendall(head("/v1/recommend", len(BODY)) + BODY)
        assert server.stdout is not None and server.stdout.readline() == "begun\n"
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == -signal.SIGTERM


def test_readiness_turns_red_before_the_port_closes(bundle_path: Path, port: int) -> None:
    """A service that drains goes on for whoever has not noticed; a second signal ends it at once."""
    server = start(bundle_path, port, drain=PATIENCE_SECONDS)
    address = f"http://127.0.0.1:{port}"
    server.send_signal(signal.SIGTERM)
    eventually(lambda: ask(f"{address}/readyz")[0] == 503, "readiness stays green")
    assert ask(f"{address}/readyz")[1]["code"] == "stopping"
    assert ask(f"{address}/v1/items/i01")[0] == 200
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == -signal.SIGTERM


def test_a_port_in_use_is_said_before_anything_is_loaded(bundle_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        command = [sys.executable, "-m", "pipelines.cli", "serve", str(bundle_path)]
        done = subprocess.run(
            [*command, "--port", str(port)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1 and "choose another --port" in done.stderr
    assert "serving" not in done.stderr

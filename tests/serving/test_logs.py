"""Lines of the log: of failed requests always, of all on demand, forged by nobody."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import eventually
from servers import ask, connected, running
from serving import logs
from serving.settings import Settings


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What would be written to stderr, with logging as it was before afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr("serving.logs.logging.StreamHandler", lambda: _handler(stream))
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def _handler(stream: io.StringIO, kind: type = logging.StreamHandler) -> logging.Handler:
    handler: logging.Handler = kind(stream)
    return handler


def test_a_line_of_json_for_every_request(bundle_path: Path, lines: io.StringIO) -> None:
    logs.configure("json", access=True)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-ID": "shop-7", "traceparent": trace}
    with running(Settings(bundle_path)) as address:
        ask(f"{address}/v1/recommend/u01?k=3", headers=headers)
        ask(f"{address}/v1/items/nothing")
    first, second = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert (first["request_id"], first["traceparent"]) == ("shop-7", trace)
    assert (first["method"], first["status"], first["key"]) == ("GET", 200, "loopback")
    assert (first["path"], first["route"]) == (
        "/v1/recommend/u01",
        "/v1/recommend/{user:path}",
    )
    assert first["milliseconds"] > 0 and second["status"] == 404
    assert len(second["request_id"]) == 16


def test_failed_requests_alone_by_default(bundle_path: Path, lines: io.StringIO) -> None:
    logs.configure()
    with running(Settings(bundle_path)) as address:
        ask(f"{address}/v1/recommend/u01")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("serving.catalogue.similar_items", _fail)
            assert ask(f"{address}/v1/similar/i01")[0] == 500
    text = lines.getvalue()
    assert "RuntimeError: as an example" in text and "GET '/v1/similar/i01' 500" in text
    assert "recommend" not in text


def _fail(*asked: object) -> None:
    raise RuntimeError("as an example")


def test_no_client_can_forge_a_line(bundle_path: Path, lines: io.StringIO) -> None:
    logs.configure("text", access=True)
    forged = "2026-11-29 01:01:01,001 WARNING bundle deadbeef0000 answers now"
    path = "/v1/recommend/1%0a" + forged.replace(" ", "%20") + "%1b%5b31m"
    with running(Settings(bundle_path)) as address:
        assert ask(address + path, headers={"X-Request-ID": "a b"})[0] == 200
    [line] = lines.getvalue().splitlines()
    assert r"1\n2026-11-29 01:01:01" in line and r"\x1b[31m" in line
    assert "[a b]" not in line  # an id of its own is given


def test_the_id_comes_back_with_every_answer(address: str) -> None:
    request = (
        b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: mine.1\r\nConnection: close\r\n\r\n"
    )
    for status, path in ((b"200", b"/healthz"), (b"404", b"/nowhere")):
        with connected(address) as client:
            client.sendall(request % path)
            answer = client.makefile("rb").read()  # it may come in several pieces
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"x-request-id: mine.1\r\n" in answer.lower()
            assert b"\r\ndate: " in answer.lower()


def test_a_broken_request_is_told_with_its_client_and_not_for_each(
    bundle_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure()
    monkeypatch.setattr("serving.protocol._broken", logs.NowAndThen())
    with running(Settings(bundle_path)) as address:
        for _ in range(5):
            with connected(address) as client:
                client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 400"
    [line] = lines.getvalue().splitlines()
    assert "WARNING refused ('127.0.0.1', " in line and "is no HTTP/1.1 request" in line


def test_what_was_left_out_is_counted(lines: io.StringIO) -> None:
    logs.configure()
    sometimes = logs.NowAndThen(seconds=0.01)
    sometimes.warning("first")
    for _ in range(3):
        sometimes.warning("again")
    eventually(lambda: _last(sometimes, lines), "it never speaks again")
    assert "times more before)" in lines.getvalue()


def _last(sometimes: logs.NowAndThen, lines: io.StringIO) -> bool:
    sometimes.warning("later")
    return "later" in lines.getvalue()

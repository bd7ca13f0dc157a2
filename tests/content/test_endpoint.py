"""An endpoint for embeddings on loopback that is busy, broken, slow or wrong on request."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from recsys.content.cache import VectorCache
from recsys.content.encode import encode_inputs
from recsys.content.endpoint import Endpoint
from recsys.core.config import ImageConfig, TextConfig
from recsys.core.errors import DataError, MachineError

KEY = "sk-very-secret"


def vector_of(text: str) -> list[float]:
    return [float(len(text)), float(text.count("a")), 1.0]


class Embeddings(ThreadingHTTPServer):
    """asked: bodies so far. refusals: (status, headers) of the next answers. answer: in place of the
    usual one.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.keys, self.refusals, self.answer = [], [], [], None
        self.hangs = threading.Event()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/embeddings"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append(body)
        server.keys.append(self.headers.get("Authorization"))
        if server.hangs.is_set():
            server.released.wait()
            return
        if server.refusals:
            status, headers = server.refusals.pop(0)
            self._send(status, {"error": "not now"}, headers)
            return
        rows = [
            {"index": place, "embedding": vector_of(str(text))}
            for place, text in enumerate(body["input"])
        ]
        self._send(200, server.answer or {"data": rows[::-1]}, {})

    def _send(self, status: int, document: object, headers: dict[str, str]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Embeddings]:
    with Embeddings() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.released.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def slept() -> list[float]:
    return []


def endpoint(server: Embeddings, slept: list[float], **changes: object) -> Endpoint:
    settings = {"model": "small", "retries": 2, "sleep": slept.append} | changes
    return Endpoint(server.url, **settings)


def test_vectors_come_in_the_order_of_the_texts(server, slept) -> None:
    vectors = endpoint(server, slept, dimensions=3, key=KEY).encode(["a", "banana"])
    assert vectors.tolist() == [vector_of("a"), vector_of("banana")]
    assert server.asked == [{"input": ["a", "banana"], "model": "small", "dimensions": 3}]
    assert server.keys == [f"Bearer {KEY}"]


def test_a_busy_service_is_asked_again_when_it_says(server, slept) -> None:
    server.refusals = [(429, {"Retry-After": "7"}), (503, {})]
    assert len(endpoint(server, slept).encode(["a"])) == 1
    assert slept[0] == 7 and 0 < slept[1] <= 1


def test_it_is_not_asked_for_ever_and_no_message_holds_the_key(server, slept) -> None:
    server.refusals = [(429, {"Retry-After": "1e9"})] * 9
    with pytest.raises(MachineError, match="did not encode in 3 tries: it answered 429") as error:
        endpoint(server, slept, key=KEY).encode(["a"])
    assert len(server.asked) == 3 and slept == [60.0, 60.0]
    assert KEY not in str(error.value) and KEY not in repr(endpoint(server, slept, key=KEY))


def test_what_will_not_change_is_not_asked_twice(server, slept) -> None:
    server.refusals = [(401, {})]
    with pytest.raises(MachineError, match="401"):
        endpoint(server, slept).encode(["a"])
    assert len(server.asked) == 1 and not slept


def test_a_service_that_is_down_or_slow(server, slept) -> None:
    server.hangs.set()
    with pytest.raises(MachineError, match="timed out"):
        endpoint(server, slept, retries=0, timeout_seconds=0.05).encode(["a"])
    nobody = Endpoint("http://127.0.0.1:9/v1", retries=1, sleep=slept.append)
    with pytest.raises(MachineError, match="in 2 tries"):
        nobody.encode(["a"])


@pytest.mark.parametrize(
    "answer",
    [
        {"data": "nothing"},
        {"nothing": 1},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [{"index": 1, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}]},
    ],
)
def test_answers_that_are_none(server, slept, answer) -> None:
    server.answer = answer
    with pytest.raises(MachineError, match="answered"):
        endpoint(server, slept).encode(["a", "b"])


def test_a_picture_is_sent_as_its_bytes(server, slept, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"picture")
    endpoint(server, slept, of_pictures=True).encode([str(picture)])
    [sent] = server.asked[0]["input"]
    assert base64.b64decode(sent["image"]) == b"picture"


def test_the_key_is_read_from_the_environment(server, monkeypatch) -> None:
    config = TextConfig(columns=["t"], encoder="endpoint", url=server.url, key_env="SHOP_KEY")
    with pytest.raises(MachineError, match="SHOP_KEY"):
        Endpoint.of(config)
    monkeypatch.setenv("SHOP_KEY", KEY)
    assert Endpoint.of(config).key == KEY
    picture = ImageConfig(column="p", encoder="endpoint", url=server.url)
    assert Endpoint.of(picture).of_pictures


def test_a_run_that_ended_in_the_middle_goes_on_from_there(server, slept, tmp_path) -> None:
    config = TextConfig(columns=["t"], encoder="endpoint", url=server.url, batch_size=2)
    texts = ["a", "bb", "", "a", "ccc", "dddd"]
    encoder = endpoint(server, slept, retries=0)
    server.refusals = [(500, {})]
    with pytest.raises(MachineError):
        encode_inputs(encoder, texts, config, VectorCache(tmp_path))
    server.asked.clear()
    server.refusals = []
    encode_inputs(encoder, texts[:2], config, VectorCache(tmp_path))
    vectors = encode_inputs(encoder, texts, config, VectorCache(tmp_path))
    assert [body["input"] for body in server.asked] == [["a", "bb"], ["ccc", "dddd"]]
    expected = np.array([vector_of(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    expected[2] = 0
    assert np.allclose(vectors, expected)


def test_nan_and_another_width_are_refused(server, slept, tmp_path) -> None:
    config = TextConfig(columns=["t"], encoder="endpoint", url=server.url, batch_size=1)
    encoder = endpoint(server, slept)
    encode_inputs(encoder, ["a"], config, VectorCache(tmp_path))
    server.answer = {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}
    with pytest.raises(DataError, match=r"2 numbers .* 3 before"):
        encode_inputs(encoder, ["a", "b"], config, VectorCache(tmp_path))
    server.answer = {"data": [{"index": 0, "embedding": [1.0, float("nan"), 0.0]}]}
    with pytest.raises(DataError, match="NaN"):
        encode_inputs(encoder, ["c"], config, VectorCache(tmp_path))
    assert len(VectorCache(tmp_path).get([b"c"])) == 0


def test_a_cache_that_cannot_be_written_is_done_without(server, slept, tmp_path) -> None:
    config = TextConfig(columns=["t"], encoder="endpoint", url=server.url)
    (tmp_path / "file").write_text("no folder")
    cache = VectorCache(tmp_path / "file" / "cache")
    assert cache.problem is not None
    assert len(encode_inputs(endpoint(server, slept), ["a"], config, cache)) == 1
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "vectors.sqlite").write_bytes(b"no database" * 1000)
    assert VectorCache(damaged).problem is not None

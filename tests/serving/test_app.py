"""The service as an application meets it: a real server on loopback, asked over HTTP."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn

from recsys.core.errors import UsageError
from recsys.index.bundle import Bundle, write_bundle
from recsys.index.lookup import Lookup
from serving.app import make_app
from serving.server import serve
from worlds import make_contents


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    return Lookup(Bundle.load(write_bundle(tmp_path_factory.mktemp("bundles"), make_contents())))


@pytest.fixture(scope="module")
def address(lookup: Lookup) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(make_app(lookup), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_known_user_gets_what_lookup_gives(address: str, lookup: Lookup) -> None:
    status, answer = ask(f"{address}/v1/recommend/u03?k=5")
    assert status == 200
    assert answer["source"] == "model"
    assert [one["id"] for one in answer["items"]] == [one["id"] for one in lookup.recommend(["u03"], 5)[0]["items"]]
    assert answer["model_version"] == lookup.bundle.path.name


def test_an_unknown_user_gets_the_popular_and_is_told_so(address: str) -> None:
    status, answer = ask(f"{address}/v1/recommend/{quote('nobody at all')}?k=3")
    assert (status, answer["source"], len(answer["items"])) == (200, "fallback", 3)


def test_several_lists_at_once(address: str) -> None:
    body = {
        "requests": [{"user": "u01"}, {"history": [{"item": "i01"}, {"item": "i02", "behavior": "view"}]}, {}],
        "k": 4,
        "deny": ["i05"],
    }
    status, answer = ask(f"{address}/v1/recommend", body)
    assert status == 200
    assert [one["source"] for one in answer["answers"]] == ["model", "fold_in", "fallback"]
    assert all("i05" not in [item["id"] for item in one["items"]] for one in answer["answers"])


def test_similar_items_by_get_and_post(address: str) -> None:
    by_get, by_post = ask(f"{address}/v1/similar/i01?k=3"), ask(f"{address}/v1/similar", {"item": "i01", "k": 3})
    assert by_get == by_post
    assert len(by_get[1]["items"]) == 3


def test_reasons_add_up(address: str) -> None:
    status, reasons = ask(f"{address}/v1/explain", {"user": "u01", "item": "i02", "parts": 2})
    assert status == 200
    total = sum(part["share"] for part in reasons["parts"]) + reasons["others"] + reasons["rest"]
    assert total == pytest.approx(reasons["score"], abs=1e-5)


@pytest.mark.parametrize(
    ("path", "body", "code", "told"),
    [
        ("/v1/similar/i99999", None, 400, "i99999"),
        ("/v1/recommend/u01?k=0", None, 422, "k"),
        ("/v1/recommend/u01?k=9999", None, 422, "k"),
        ("/v1/recommend", {"requests": []}, 422, "requests"),
        ("/v1/recommend", {"requests": [{"usr": "x"}]}, 422, "usr"),
        ("/v1/explain", {"item": "i01", "user": "nobody"}, 400, "nobody"),
    ],
)
def test_wrong_requests_are_explained(address: str, path: str, body: Any, code: int, told: str) -> None:
    status, problem = ask(address + path, body)
    assert status == code
    assert told in problem["detail"]


def test_health_and_model(address: str) -> None:
    assert ask(f"{address}/healthz") == (200, {"status": "ok"})
    status, model = ask(f"{address}/v1/model")
    assert (status, model["users"], model["items"]) == (200, 30, 40)


def test_it_binds_to_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0"):
        serve(tmp_path, host="0.0.0.0")


def test_it_starts_without_torch_and_dgl() -> None:
    code = "import sys, serving.server; print([name for name in ('torch', 'dgl', 'pandas') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

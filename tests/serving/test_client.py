"""The Python client against a real service."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import ask, running, unnamed
from serving.client import Client, ServiceError
from serving.settings import Settings


@pytest.fixture
def address(bundle_path: Path, tmp_path: Path) -> Iterator[str]:
    with running(Settings(bundle_path, events=tmp_path / "events.jsonl")) as address:
        yield address


def test_every_call_gives_what_the_api_gives(address: str) -> None:
    with Client(address) as client:
        _, answer = ask(f"{address}/v1/recommend/u01?k=3&diversity=0.5")
        assert unnamed(client.recommend("u01", 3, diversity=0.5)) == unnamed(answer)
        assert client.recommend_for([{"item": "i01"}])["source"] == "fold_in"
        assert [one["source"] for one in client.recommend_all([{"user": "u01"}, {}])] == [
            "model",
            "fallback",
        ]
        assert client.similar("i01", 3) == ask(f"{address}/v1/similar/i01?k=3")[1]
        assert client.similar_users("u01", 3) == ask(f"{address}/v1/similar-users/u01?k=3")[1]
        assert client.explain("u01", "i02") == ask(f"{address}/v1/explain?user=u01&item=i02")[1]
        assert client.items(["i01", "x"])["unknown"] == ["x"]
        assert client.find_items("film 39")["items"][0]["id"] == "i39"
        assert client.model()["items"] == 40
        assert client.send([{"user": "u01", "item": "i01"}]) == {"accepted": 1, "unknown": []}


def test_a_refusal_tells_what_to_do(address: str) -> None:
    with (
        Client(address) as client,
        pytest.raises(ServiceError, match="unknown item 'nothing'") as refused,
    ):
        client.similar("nothing")
    assert (refused.value.status, bool(refused.value.remedy)) == (404, True)


def test_a_connection_that_was_silent_too_long_is_not_used_again(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.server.KEEP_ALIVE_SECONDS", 1)
    monkeypatch.setattr("serving.client.IDLE_SECONDS", 0.5)
    with running(Settings(bundle_path)) as address, Client(address) as client:
        client.recommend("u01")
        time.sleep(1.5)
        assert client.recommend("u01")["source"] == "model"


def test_something_else_at_the_address_is_told(address: str) -> None:
    with Client(address) as client, pytest.raises(ServiceError, match="address"):
        client._ask("GET", "/metrics")


def test_it_needs_neither_numpy_nor_the_service(tmp_path: Path) -> None:
    code = "import sys, serving.client; print([name for name in ('numpy', 'fastapi', 'recsys') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""Load by a third-party tool, autocannon: no request fails, and memory does not grow. How fast is measured
elsewhere.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from patience import PATIENCE_SECONDS, eventually
from servers import ask, is_ready
from toolboxes import node_tools

pytestmark = pytest.mark.slow

CONNECTIONS = 8
REQUESTS = 500
ROUNDS = 4
BODY = json.dumps({"requests": [{"history": [{"item": "i01"}, {"item": "i02"}]}], "k": 10})
KINDS = {
    "a list": ["/v1/recommend/u04?k=10"],
    "a list with reasons": ["/v1/recommend/u05?k=10&explain=true"],
    "a filtered list": ["/v1/recommend/u06?filters=year.gte:1990"],
    "an error": ["/v1/items/nothing"],
    "similar items": ["/v1/similar/i01?k=5"],
    "a visitor": ["/v1/recommend", "-m", "POST", "-H", "content-type=application/json", "-b", BODY],
}


@dataclass
class Process:
    address: str
    process: psutil.Process

    def megabytes(self) -> float:
        return self.process.memory_info().rss / 1e6


@pytest.fixture
def served(films_path: Path) -> Iterator[Process]:
    """A service of its own process, so that its memory is its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "serve", str(films_path)]
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{port}"
    eventually(lambda: is_ready(address), "the service does not start")
    yield Process(address, psutil.Process(server.pid))
    server.terminate()
    _, told = server.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in told


def loaded(tools: Path, address: str, kind: list[str]) -> dict:
    """What autocannon says after its requests."""
    program = str(tools / "node_modules/.bin/autocannon")
    bounds = ["-c", str(CONNECTIONS), "-a", str(REQUESTS), "-t", str(PATIENCE_SECONDS)]
    path, *flags = kind
    done = subprocess.run(
        [program, "--json", *bounds, *flags, address + path],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    return found


def test_no_request_fails_and_memory_stays(served: Process, pytestconfig: pytest.Config) -> None:
    tools = node_tools(pytestconfig)
    memory = []
    for _ in range(ROUNDS):
        for name, kind in KINDS.items():
            found = loaded(tools, served.address, kind)
            answered = "4xx" if name == "an error" else "2xx"
            assert found[answered] >= REQUESTS, (name, found)
            assert found["errors"] == found["timeouts"] == found["mismatches"] == 0, (name, found)
            assert found["5xx"] == 0, (name, found)
        memory.append(served.megabytes())
    assert max(memory[2:]) < 1.05 * max(memory[:2]), memory
    assert ask(f"{served.address}/readyz")[0] == 200

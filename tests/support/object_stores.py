"""An S3-compatible server on loopback (moto's, over HTTP), and the environment that leads to it."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMIexamplesecret"


@dataclass
class ObjectServer:
    """A running server; `kill` ends it as a power cut does, and nobody else gets its port."""

    port: int
    process: subprocess.Popen
    _reserved: socket.socket | None = None

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        # Bound and not listened at: connections are refused, and no server of another test answers them.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", self.port))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._reserved is not None:
            self._reserved.close()


def environment_of(port: int) -> dict[str, str]:
    """What leads to a server on a port of this machine."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "RECSYS_STORE_SECONDS": "0",
    }


@contextmanager
def object_server(bucket: str) -> Iterator[ObjectServer]:
    """A server with an empty bucket. Skips the test where moto is not installed."""
    pytest.importorskip("obstore")
    if subprocess.run([sys.executable, "-c", "import moto.server"], capture_output=True).returncode:
        pytest.skip("moto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "moto.server",
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = ObjectServer(port, process)
    try:
        _make_bucket(f"http://127.0.0.1:{port}/{bucket}", process)
        yield running
    finally:
        running.end()


def _make_bucket(url: str, process: subprocess.Popen) -> None:
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_SECONDS:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
        except OSError:
            time.sleep(0.05)
            continue
        return
    raise AssertionError("the server never answered")


def put(store: object, files: dict[str, bytes], folder: Path) -> None:
    """Write objects by key."""
    for key, content in files.items():
        path = folder / "object"
        path.write_bytes(content)
        store.upload(path, key)


@pytest.fixture(scope="session")
def server() -> Iterator[ObjectServer]:
    with object_server("shop") as running:
        yield running


@pytest.fixture
def url(
    server: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> str:
    """A folder of the bucket that nobody else uses."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    return f"s3://shop/{request.node.name.replace('[', '-').replace(']', '')}"

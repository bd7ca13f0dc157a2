"""`recsys serve`: a real process on loopback, over a bundle made by hand."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from patience import PATIENCE_SECONDS
from recsys.core.artefacts import switch_link, write_json
from worlds import make_contents, write_world


def test_serve_answers_until_interrupted(tmp_path: Path) -> None:
    bundle = write_world(tmp_path / "bundles", make_contents())
    switch_link(tmp_path / "bundle", bundle)
    write_json(tmp_path / "manifest.json", {})
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "serve",
        str(tmp_path),
        "--port",
        str(_free_port()),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            found = re.search(r"http://[\w.]+:\d+", server.stderr.readline())
            assert found
            answer = _ask(f"{found.group()}/v1/recommend/u01?k=3")
            server.send_signal(signal.SIGINT)
            server.wait(timeout=PATIENCE_SECONDS)
        finally:
            server.kill()
    assert len(answer["items"]) == 3
    assert answer["model_version"] == bundle.name


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _ask(url: str) -> dict:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)

"""The commands: `recsys serve` on a run folder, `recsys key`."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS, eventually
from recsys.core.artefacts import switch_link
from servers import ask, is_ready
from serving.keys import Keys


def recsys(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *words]


@pytest.fixture
def run(tmp_path: Path, bundle_path: Path) -> Path:
    shutil.copytree(bundle_path, tmp_path / "bundles" / bundle_path.name)
    switch_link(tmp_path / "bundle", tmp_path / "bundles" / bundle_path.name)
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": {}}))
    return tmp_path


def test_a_run_is_served_until_it_is_stopped(run: Path, bundle_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        recsys("serve", str(run), "--port", str(port)), stderr=subprocess.PIPE, text=True
    )
    address = f"http://127.0.0.1:{port}"
    eventually(lambda: is_ready(address), "the service does not start")
    assert ask(f"{address}/v1/recommend/u01")[1]["model_version"] == bundle_path.name
    assert ask(f"{address}/v1/events", {"events": [{"user": "u01", "item": "i01"}]})[0] == 200
    assert (run / "events.jsonl").exists()
    server.send_signal(signal.SIGTERM)
    _, told = server.communicate(timeout=PATIENCE_SECONDS)
    assert "no keys, so loopback only" in told
    assert "Traceback" not in told


def test_it_does_not_bind_elsewhere_without_keys(run: Path) -> None:
    found = subprocess.run(
        recsys("serve", str(run), "--host", "0.0.0.0"), capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "recsys key" in found.stderr


def test_a_damaged_bundle_is_told_in_one_line(run: Path, bundle_path: Path) -> None:
    (run / "bundles" / bundle_path.name / "users.parquet").write_bytes(b"")
    found = subprocess.run(
        recsys("serve", str(run), "--port", "1"), capture_output=True, text=True, check=False
    )
    assert (found.returncode, "users.parquet" in found.stderr, "Traceback" in found.stderr) == (
        1,
        True,
        False,
    )


def test_a_key_is_shown_once_and_its_hash_is_kept(tmp_path: Path) -> None:
    found = subprocess.run(
        recsys("key", "shop", "--scope", "events", "--rate", "5", "--days", "90"),
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / "keys.toml"
    path.write_text(found.stdout)
    key = Keys(path).find(found.stderr.strip().rpartition(" ")[2])
    assert key is not None
    assert (key.name, key.scopes, key.rate) == ("shop", ("events",), 5.0)
    assert key.expires is not None and not key.is_expired()
    refused = subprocess.run(
        recsys("key", "shop", "--scope", "all"), capture_output=True, text=True, check=False
    )
    assert (refused.returncode, "Scopes are read, events, admin and metrics" in refused.stderr) == (
        2,
        True,
    )

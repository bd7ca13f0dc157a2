"""The examples of docs/serving.md, run as they stand."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.core.artefacts import switch_link
from servers import running
from serving.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
WRITTEN = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Each curl call; its continuation lines belong to it."""
    return [
        one.strip()
        for block in blocks("sh")
        for one in re.split(r"^(?=curl )", block, flags=re.MULTILINE)
        if one.strip()
    ]


@pytest.fixture(scope="module")
def address(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    run = tmp_path_factory.mktemp("run")
    shutil.copytree(bundle_path, run / "bundles" / bundle_path.name)
    switch_link(run / "bundle", run / "bundles" / bundle_path.name)
    with running(Settings(run / "bundle", run, events=run / "events.jsonl")) as address:
        yield address


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", commands())
def test_curl_example(address: str, command: str) -> None:
    asked = command.replace(WRITTEN, address).replace("curl -s", "curl -s -f", 1)
    found = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("# HELP") or json.loads(found.stdout)


def test_client_example(address: str) -> None:
    [block] = blocks("python")
    names: dict = {}
    exec(block.replace(WRITTEN, address), names)
    assert len(names["best"]) == len(names["visitor"]["items"]) == 5

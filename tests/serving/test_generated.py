"""The description of the API as third-party tools read it, and clients that they generate from it,
used against a running service.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.bundle.bundle import Bundle
from recsys.lookup.lookup import Lookup
from servers import ask, running
from serving.keys import new_key
from serving.settings import Settings
from toolboxes import node_tools, python_tools
from worlds import make_contents_with_genres, write_world

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).parent / "generated"


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What a command prints; fails with all that it says where it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("films"), make_contents_with_genres())


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file of keys, and a key."""
    token, lines = new_key("shop", ("read", "events"))
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_text(lines)
    return file, token


@pytest.fixture
def address(films: Path, key: tuple[Path, str], tmp_path: Path) -> Iterator[str]:
    settings = Settings(films, keys=key[0], events=tmp_path / "events.jsonl")
    with running(settings) as address:
        yield address


@pytest.fixture
def description(address: str, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(ask(f"{address}/openapi.json")[1]))
    return file


@pytest.fixture
def expected(films: Path) -> dict[str, object]:
    """What either client has to print."""
    [answer] = Lookup(Bundle.load(films)).recommend(
        ["u04"], 5, filters={"genres": {"none": "drama"}}
    )
    ids = [item["id"] for item in answer["items"]]
    return {"items": ids, "source": "fold_in", "accepted": 1}


def test_a_generated_python_client(
    address: str,
    description: Path,
    key: tuple[Path, str],
    expected: dict[str, object],
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    tools = python_tools(pytestconfig)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"  # it formats what it writes with ruff
    generate = [str(tools / "openapi-python-client"), "generate", "--meta", "none"]
    generate += ["--path", str(description), "--output-path", str(tmp_path / "recsys_client")]
    run([*generate, "--fail-on-warning"], tmp_path, PATH=path)
    use = [str(tools / "python"), "-W", "error", str(SOURCES / "use_client.py"), address, key[1]]
    assert json.loads(run(use, tmp_path, PYTHONPATH=str(tmp_path))) == expected


def test_a_generated_typescript_client(
    address: str,
    description: Path,
    key: tuple[Path, str],
    expected: dict[str, object],
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    tools = node_tools(pytestconfig)
    programs = tools / "node_modules" / ".bin"
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    for name in ("package.json", "tsconfig.json", "use_client.ts"):
        shutil.copy(SOURCES / name, tmp_path)
    generate = [str(programs / "openapi-typescript"), str(description), "-o", "api.ts"]
    # Without this flag it takes what has a default for what must be sent.
    run([*generate, "--default-non-nullable=false"], tmp_path)
    run([str(programs / "tsc")], tmp_path)
    assert json.loads(run(["node", "use_client.js", address, key[1]], tmp_path)) == expected


def test_redocly_finds_nothing_wrong(
    description: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    tools = node_tools(pytestconfig)
    shutil.copy(SOURCES / "redocly.yaml", tmp_path)
    lint = [str(tools / "node_modules/.bin/redocly"), "lint", str(description), "--format=json"]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    found = json.loads(run(lint, tmp_path, **quiet))
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, found["problems"]

"""Agents ask a bundle by the Model Context Protocol: the reference client, over stdio and HTTP."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client

from bundles import copy_with_report
from patience import eventually
from recsys.core.artefacts import switch_link
from recsys.core.errors import ConfigError
from recsys.lookup.lookup import Lookup
from serving.bodies.fields import MAX_K
from serving.keys import new_key
from serving.mcp_server import KEY_VARIABLE, make_server
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
OLD_RUN = ROOT / "tests" / "pipelines" / "old_run"
READING = ["recommend", "similar", "explain", "compare", "report"]
Exchange = Callable[[Client], Awaitable[None]]


def exchange(server: Any, talk: Exchange) -> None:
    """Talk to a server with the reference client."""

    async def run() -> None:
        async with Client(server) as client:
            await talk(client)

    anyio.run(run)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def started(*arguments: object, **environment: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "pipelines.cli", "mcp", *(str(one) for one in arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


async def asked(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The answer of a tool that succeeds; what it says as text and as structure is the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    document: dict[str, Any] = result.structured_content
    return document


async def refused(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    document: dict[str, Any] = result.structured_content
    return document


def test_an_exchange_over_stdio(bundle_path: Path, lookup: Lookup) -> None:
    """What the program of an agent does: start the command, list the tools, ask."""
    [expected] = lookup.recommend(["u03"], 5)

    async def talk(client: Client) -> None:
        assert client.server_info.name == "recsys" and "report" in (client.instructions or "")
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == READING
        assert all(tool.annotations.read_only_hint for tool in tools)
        assert tools[0].input_schema["properties"]["k"]["maximum"] == MAX_K

        found = await asked(client, "recommend", requests=[{"user": "u03"}], k=5, explain=True)
        items = found["answers"][0]["items"]
        assert [item["id"] for item in items] == [item["id"] for item in expected["items"]]
        assert items[0]["reasons"]

        visitor = {"history": [{"item": "i01"}, {"item": "i02"}]}
        found = await asked(client, "recommend", requests=[visitor], k=3)
        assert len(found["answers"][0]["items"]) == 3

        [near] = lookup.similar_items(["i01"], 4)
        found = await asked(client, "similar", item="i01", k=4)
        assert [item["id"] for item in found["items"]] == [item["id"] for item in near["items"]]

        found = await asked(client, "explain", user="u03", item=items[0]["id"], parts=2)
        assert len(found["parts"]) <= 2 and found["model_version"]

        assert (await refused(client, "similar", item="nothing"))["code"] == "unknown_item"
        assert "1000" in (await refused(client, "similar", item="i01", k=5000))["detail"]
        assert (await refused(client, "promote", bundle="0" * 12))["code"] == "unknown_tool"

    exchange(started(bundle_path), talk)


BOUNDED = {
    "no request": ("recommend", {"requests": []}),
    "too many requests": ("recommend", {"requests": [{"user": "u01"}] * 257}),
    "an unknown argument": ("recommend", {"requests": [{"user": "u01"}], "limit": 3}),
    "a list that is too long": ("similar", {"item": "i01", "k": MAX_K + 1}),
    "an id that is too long": ("similar", {"item": "i" * 2000}),
    "too long a history": ("explain", {"item": "i01", "history": [{"item": "i01"}] * 20_001}),
    "a bundle that is a path": ("compare", {"requests": [{"user": "u01"}], "bundle": "../../etc"}),
    "no item": ("explain", {"user": "u01"}),
}


def test_what_tools_take_is_bounded_as_requests_are(bundle_path: Path) -> None:
    async def talk(client: Client) -> None:
        for what, (tool, arguments) in BOUNDED.items():
            answer = await refused(client, tool, **arguments)
            assert answer["code"] == "invalid_request", what
        # After all of that it still answers.
        assert (await asked(client, "similar", item="i01"))["items"]

    exchange(make_server(Settings(bundle_path)), talk)


def test_a_bundle_alone_has_nothing_to_compare(bundle_path: Path) -> None:
    async def talk(client: Client) -> None:
        answer = await refused(client, "compare", requests=[{"user": "u01"}], bundle="0123456789ab")
        assert answer["code"] == "not_offered"

    exchange(make_server(Settings(bundle_path)), talk)


def test_the_report_and_two_bundles_of_a_run(
    bundle_path: Path, other_bundle_path: Path, tmp_path: Path
) -> None:
    report = json.loads((OLD_RUN / "report" / "report.json").read_text(encoding="utf-8"))
    for path in (bundle_path, other_bundle_path):
        copy_with_report(path, tmp_path / "bundles", report, "<p>page</p>")
    switch_link(tmp_path / "bundle", tmp_path / "bundles" / bundle_path.name)
    asks = {"requests": [{"user": "u01"}, {"user": "u02"}], "k": 5}

    async def talk(client: Client) -> None:
        short = await asked(client, "report")
        assert short["headline"] == report["headline"] and "slices" not in short
        titles = [model["title"] for model in short["models"]]
        assert titles == [model["title"] for model in report["models"]]
        assert short["models"][0]["ndcg@3"]["low"] < short["models"][0]["ndcg@3"]["high"]
        names = {bundle["name"] for bundle in short["bundles"]}
        assert names == {bundle_path.name, other_bundle_path.name}
        assert (await asked(client, "report", whole=True))["slices"] == report["slices"]

        found = await asked(client, "compare", bundle=other_bundle_path.name, **asks)
        assert found["live"]["model_version"] == bundle_path.name
        assert found["other"]["model_version"] == other_bundle_path.name
        for live, other, shared in zip(
            found["live"]["answers"], found["other"]["answers"], found["shared_items"], strict=True
        ):
            ids = [{item["id"] for item in answer["items"]} for answer in (live, other)]
            assert shared == len(ids[0] & ids[1])

    exchange(make_server(Settings(tmp_path / "bundle", run=tmp_path)), talk)


def test_without_the_package_the_error_names_it(bundle_path: Path) -> None:
    program = (
        "import sys; sys.modules['mcp'] = None; sys.argv[0] = 'recsys'; "
        "from pipelines.cli import main; main()"
    )
    called = subprocess.run(
        [sys.executable, "-c", program, "mcp", bundle_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert called.returncode == 1 and 'pip install "recsys[mcp]"' in called.stderr


def test_a_key_opens_what_its_scopes_say(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.toml"
    reader, reading = new_key("agent", ["read"])
    writer, writing = new_key("shop", ["read", "events"])
    keys.write_text(reading + writing, encoding="utf-8")
    settings = Settings(bundle_path, keys=keys, events=tmp_path / "events.jsonl")
    event = {"user": "u03", "item": "i09"}

    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        make_server(settings)

    async def reads(client: Client) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools] == READING
        assert (await asked(client, "similar", item="i01"))["items"]
        assert (await refused(client, "send_events", events=[event]))["code"] == "unknown_tool"

    async def writes(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {*READING, "send_events"}
        assert not tools["send_events"].annotations.read_only_hint
        assert (await asked(client, "send_events", events=[event]))["accepted"] == 1
        # Other bundles are an administrator's, as over HTTP.
        answer = await refused(client, "compare", requests=[{"user": "u01"}], bundle="0" * 12)
        assert answer["code"] == "missing_scope"

    for token, talk in ((reader, reads), (writer, writes)):
        monkeypatch.setenv(KEY_VARIABLE, token)
        exchange(make_server(settings), talk)
    assert "i09" in (tmp_path / "events.jsonl").read_text(encoding="utf-8")


def test_over_http_on_loopback(bundle_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parameters = started(bundle_path, "--http", port)
    process = subprocess.Popen([parameters.command, *parameters.args], env=parameters.env)

    async def talk(client: Client) -> None:
        assert (await asked(client, "similar", item="i01", k=2))["items"]

    try:
        eventually(lambda: is_open(port), "recsys mcp --http answers")
        exchange(f"http://127.0.0.1:{port}/mcp", talk)
    finally:
        process.terminate()
        process.wait()

"""Every error has a code: it stands in the description, in the documentation, and a request shows it."""

import ast
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from recsys.core.errors import DataError, GateRefused, MachineError, RecsysError, UsageError
from servers import ask, connected, head, running
from serving.client import Client, ServiceError
from serving.codes import CODES, type_of
from serving.jobs import Jobs
from serving.keys import new_key
from serving.price import AT_MOST, require_affordable
from serving.problems import of_error
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
NOT_OVER_HTTP = {"bad_data"}  # of the library; the service says which bundle or that it cannot
NOBODY_THERE = {"client_left"}  # stands in the log: whom it was for has gone
SHOWN_ELSEWHERE = {
    "bundle_refused": "test_state.py",
    "internal_error": "test_state.py",
    "busy": "test_bounds.py",
    "no_answer_in_time": "test_bounds.py",
    "stopping": "test_bounds.py",
    "events_not_written": "test_faults.py",
    "impressions_not_written": "test_experiments.py",
    "logs_too_large": "test_experiments.py",
    "unavailable": "test_codes.py",
    "too_expensive": "test_codes.py",
    "gate_refused": "test_codes.py",
    "body_too_slow": "test_codes.py",
    "malformed": "test_codes.py",
    "headers_too_large": "test_codes.py",
    "unknown_key": "test_codes.py",
    "expired_key": "test_codes.py",
    "missing_scope": "test_codes.py",
    "rate_limited": "test_codes.py",
}
NEVER = {"item": "nothing like it"}
USER = {"user": "u01"}
SHOWN: list[tuple[str, int, str, Any, dict[str, str]]] = [
    ("invalid_request", 422, "/v1/recommend/u01?k=0", None, {}),
    ("invalid_request", 400, "/v1/events/retract", {}, {}),
    ("invalid_filter", 400, "/v1/recommend/u01?filters=year.gte:x", None, {}),
    ("unknown_attribute", 400, "/v1/recommend/u01?filters=colour:red", None, {}),
    ("unknown_attribute", 400, "/v1/recommend/u01?include=colour", None, {}),
    ("unknown_attribute", 400, "/v1/recommend", {"requests": [{"attributes": {"x": ["y"]}}]}, {}),
    ("unknown_value", 400, "/v1/recommend", {"requests": [{"attributes": {"country": ["x"]}}]}, {}),
    ("unknown_behavior", 400, "/v1/events", {"events": [{**USER, "item": "i", "behavior": "x"}]}, {}),
    ("unknown_behavior", 400, "/v1/recommend", {"requests": [USER], "exclude_seen": ["x"]}, {}),
    ("nothing_known", 400, "/v1/explain", {"history": [NEVER], "item": "i01"}, {}),
    ("foreign_origin", 403, "/v1/model", None, {"Origin": "https://elsewhere.example"}),
    ("foreign_host", 421, "/v1/model", None, {"Host": "elsewhere.example"}),
    ("unknown_path", 404, "/v2", None, {}),
    ("unknown_user", 404, "/v1/similar-users/nobody", None, {}),
    ("unknown_user", 404, "/v1/explain?user=nobody&item=i01", None, {}),
    ("unknown_item", 404, "/v1/items/nothing", None, {}),
    ("unknown_bundle", 404, "/v1/admin/recommend", {"requests": [USER], "bundle": "0" * 12}, {}),
    ("unknown_bundle", 409, "/v1/admin/promote", {"bundle": "0" * 12}, {}),
    ("unknown_experiment", 404, "/v1/admin/experiment", None, {}),
    ("unknown_job", 404, "/v1/admin/jobs/0000000000000000", None, {}),
    ("not_offered", 404, "/v1/report", None, {}),
    ("wrong_method", 405, "/v1/model", {}, {}),
    ("body_too_large", 413, "/v1/recommend", b" " * 20_000, {}),
    ("not_json", 415, "/v1/recommend", b"x", {"Content-Type": "text/plain"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def address(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "bundles").mkdir()
    settings = Settings(
        bundle_path, folder, events=folder / "events.jsonl", body_bytes=10_000, body_seconds=0.3
    )
    with running(settings) as address:
        yield address


@pytest.mark.parametrize(("code", "status", "path", "body", "headers"), SHOWN)
def test_an_error_has_its_code(
    address: str, code: str, status: int, path: str, body: Any, headers: dict[str, str]
) -> None:
    found, problem = ask(address + path, body, headers)
    assert (found, problem["code"], problem["type"]) == (status, code, type_of(code))


def code_of_bytes(address: str, sent: bytes) -> str:
    """The code of the answer to what no client library would send."""
    with connected(address) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR) if sent.endswith(b"\r\n\r\n") else None
        answer = client.recv(1 << 16)
        while b'"code"' not in answer and (more := client.recv(1 << 16)):
            answer += more
    [code] = re.findall(rb'"code":"(\w+)"', answer)
    return code.decode()


def test_errors_of_the_protocol_have_codes(address: str) -> None:
    assert code_of_bytes(address, b"hello\r\n\r\n") == "malformed"
    long = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"
    assert code_of_bytes(address, long) == "headers_too_large"
    assert code_of_bytes(address, head("/v1/recommend", 50) + b"{") == "body_too_slow"


def test_errors_of_keys_have_codes(bundle_path: Path, tmp_path: Path) -> None:
    token, lines = new_key("slow", ("read",), rate=0.001)
    old, old_lines = new_key("old", ("read",))
    (tmp_path / "keys.toml").write_text(f"{lines}{old_lines}expires = 2026-01-31\n")
    with running(Settings(bundle_path, keys=tmp_path / "keys.toml")) as address:
        assert ask(f"{address}/v1/model")[1]["code"] == "unknown_key"
        expired = {"Authorization": f"Bearer {old}"}
        assert ask(f"{address}/v1/model", headers=expired)[1]["code"] == "expired_key"
        with Client(address, key=token) as client:
            with pytest.raises(ServiceError) as refused:
                client.send([{"user": "u", "item": "i"}])
            assert refused.value.code == "missing_scope"
            with pytest.raises(ServiceError) as refused:
                for _ in range(12):
                    client.model()
            assert (refused.value.status, refused.value.code) == (429, "rate_limited")


def test_errors_of_the_machine_and_of_jobs_have_codes() -> None:
    response = of_error(None, MachineError("the disk of /secret is full"))
    assert b'"code":"unavailable"' in response.body and b"secret" not in response.body
    jobs = Jobs(None, lambda *outcome: None)
    outcomes = {}
    errors = (GateRefused("worse"), DataError("damaged"), RecsysError("x", code="unknown_bundle"))
    for error in errors:

        def work(tell: object, error: RecsysError = error) -> tuple[str, str]:
            raise error

        name, end = jobs.start("key", "promote", work)
        end.result()
        outcomes[error.message] = jobs.get(name)["code"]
    jobs.close()
    assert outcomes == {"worse": "gate_refused", "damaged": "bundle_refused", "x": "unknown_bundle"}


def test_what_costs_too_much_has_a_code() -> None:
    with pytest.raises(UsageError) as refused:
        require_affordable(2 * AT_MOST)
    response = of_error(None, refused.value)
    assert response.status_code == 400 and b'"code":"too_expensive"' in response.body


def test_elements_of_a_batch_have_codes(address: str) -> None:
    events = [{**USER, "item": "i01"}, {**USER, "item": ""}, {**USER, "item": "i", "behavior": "x"}]
    answer = ask(f"{address}/v1/events", {"events": events})[1]
    rejected = [(one["place"], one["code"]) for one in answer["rejected"]]
    assert rejected == [(1, "invalid_request"), (2, "unknown_behavior")]
    requests = [USER, {"history": [{"item": "i01", "behavior": "x"}]}]
    lists = ask(f"{address}/v1/recommend", {"requests": requests})[1]["answers"]
    assert "code" not in lists[0] and lists[1]["code"] == "unknown_behavior"


ERRORS = {"RecsysError", "DataError", "MachineError", "UsageError", "GateRefused", "Refused"}


def codes_in(file: Path) -> set[str]:
    """What errors are made with, `code=…`, and what their classes say, `code = …`."""
    codes = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS:
            for keyword in node.keywords:
                if keyword.arg == "code":
                    codes |= texts_of(keyword.value)
        elif isinstance(node, ast.ClassDef) and node.name in ERRORS:
            for line in node.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                    codes |= texts_of(line.value)
    return codes


def texts_of(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr) and ast.unparse(node) == "f'unknown_{self.kind}'":
        return {"unknown_user", "unknown_item"}
    return set()


def test_the_codes_in_the_source_are_those_that_are_listed_and_shown() -> None:
    in_source: set[str] = set()
    for package in ("recsys", "serving"):
        for file in (ROOT / package).rglob("*.py"):
            in_source |= codes_in(file)
    assert {"busy", "invalid_request", "unknown_item"} < in_source
    assert in_source - NOT_OVER_HTTP <= set(CODES)
    shown = {code for code, *_ in SHOWN}
    for code, file in SHOWN_ELSEWHERE.items():
        assert f'"{code}"' in (Path(__file__).parent / file).read_text()
    assert shown | set(SHOWN_ELSEWHERE) == set(CODES) - NOBODY_THERE


def test_the_codes_are_described_and_documented(address: str) -> None:
    schemas = ask(f"{address}/openapi.json")[1]["components"]["schemas"]
    assert schemas["Problem"]["properties"]["code"]["enum"] == list(CODES)
    page = (ROOT / "docs" / "serving.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| [\d, ]+ \| (.*) \|$", page, re.MULTILINE))
    assert documented == CODES


def test_statuses_that_are_documented(address: str) -> None:
    page = (ROOT / "docs" / "serving.md").read_text()
    statuses = dict(re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", page, re.MULTILINE))
    for code, status, *_ in SHOWN:
        assert str(status) in statuses[code]
    assert urlsplit(type_of("busy")).scheme == "urn"

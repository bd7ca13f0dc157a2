"""The board of Grafana and the rules of Prometheus, against what a service tells."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import promql_parser
import pytest
import yaml

from patience import PATIENCE_SECONDS, eventually
from servers import ask, running
from serving.keys import new_key
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana/board.json").read_text(encoding="utf-8"))
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text(encoding="utf-8"))[
        "groups"
    ]
    for rule in group["rules"]
]
QUERIES = {
    f"board: {panel['title']} {one['refId']}": one["expr"]
    for panel in BOARD["panels"]
    for one in panel.get("targets", ())  # a row has none
}
QUERIES |= {f"rule: {rule.get('alert') or rule['record']}": rule["expr"] for rule in RULES}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed"
)


@pytest.fixture(scope="module")
def guarded(
    bundle_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """A service that has everything to tell, as Prometheus asks it: its address, and the key."""
    folder = tmp_path_factory.mktemp("guarded")
    token, lines = new_key("prometheus", ("metrics", "read"), days=90)
    (folder / "keys.toml").write_text(lines)
    settings = Settings(bundle_path, keys=folder / "keys.toml", events=folder / "events.jsonl")
    with running(settings) as address:
        ask(f"{address}/v1/recommend/u01")  # without a key
        yield address, {"Authorization": f"Bearer {token}"}


def used(expression: Any) -> list[Any]:
    """Every selector of a parsed query."""
    if isinstance(expression, promql_parser.VectorSelector):
        return [expression]
    parts = [
        getattr(expression, name, None)
        for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "param")
    ]
    arguments = getattr(expression, "args", None)
    if isinstance(arguments, list):
        parts += arguments
    return [one for part in parts if part is not None for one in used(part)]


def live_text(address: str, headers: dict[str, str]) -> str:
    """What a service tells after a few requests."""
    for path in ("/v1/recommend/u01", "/v1/recommend/nobody", "/v1/similar/i01"):
        ask(address + path, headers=headers)
    status, text = ask(address + "/metrics", headers=headers)
    assert status == 200
    return str(text)


def live_figures(text: str) -> dict[str, set[str]]:
    """Label names by metric; Prometheus adds those that name whom it asked."""
    labels: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, rest = re.match(r"(\w+)(\{)?(.*)", line).groups()  # type: ignore[union-attr]
            told = re.findall(r'(\w+)="', rest)
            labels.setdefault(name, {"job", "instance"}).update(told)
    return labels


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_names_what_the_service_tells(
    query: str, guarded: tuple[str, dict[str, str]]
) -> None:
    figures = live_figures(live_text(*guarded))
    selectors = used(promql_parser.parse(query))
    assert selectors
    for selector in selectors:
        if selector.name in RECORDED | {"up"}:
            continue
        assert selector.name in figures, f"{selector.name} is not in /metrics"
        asked_for = set(re.findall(r"(\w+)\s*[=!]~?\"", str(selector.matchers)))
        assert asked_for <= figures[selector.name], (
            f"{selector.name} has the labels {figures[selector.name]}"
        )
    grouped = {one for found in re.findall(r"by \(([\w, ]+)\)", query) for one in found.split(", ")}
    assert grouped <= set().union(*figures.values())


def test_recorded_names_are_defined_once() -> None:
    assert len(RECORDED) == len([rule for rule in RULES if "record" in rule])
    names = {name for query in QUERIES.values() for name in re.findall(r"recsys:[\w:]+", query)}
    assert names <= RECORDED


@NEEDS_PROMTOOL
def test_promtool_accepts_rules_queries_and_figures(
    guarded: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    every = {
        "groups": [
            {
                "name": "q",
                "rules": [{"record": f"q:{n}", "expr": q} for n, q in enumerate(QUERIES.values())],
            }
        ]
    }
    (tmp_path / "queries.yml").write_text(yaml.safe_dump(every), encoding="utf-8")
    for file in (DEPLOY / "prometheus/rules.yml", tmp_path / "queries.yml"):
        checked = subprocess.run(
            ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
    text = live_text(*guarded)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@NEEDS_PROMTOOL
def test_alerts_ring_when_they_should_and_else_do_not() -> None:
    tests = DEPLOY / "prometheus/rules_test.yml"
    checked = subprocess.run(
        ["promtool", "test", "rules", tests], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_panels_of_the_board_lie_beside_each_other() -> None:
    places: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        grid = panel["gridPos"]
        rows = range(grid["y"], grid["y"] + grid["h"])
        columns = range(grid["x"], grid["x"] + grid["w"])
        taken = {(row, column) for row in rows for column in columns}
        assert not taken & places, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        places |= taken
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))


@pytest.fixture(scope="module")
def prometheus(
    guarded: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The real one, with the configuration of the examples, asking a service that has something to tell."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus (Debian: prometheus) is not installed")
    address, headers = guarded
    live_text(address, headers)
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "token").write_text(headers["Authorization"].removeprefix("Bearer "))
    text = (DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    for place, here in (
        ("recsys:8000", address.removeprefix("http://")),
        ("/run/secrets/token", str(folder / "token")),
        ("15s", "1s"),
    ):
        assert place in text
        text = text.replace(place, here)
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(DEPLOY / "prometheus/rules.yml", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "told").open("w") as told:
        server = subprocess.Popen(command, stdout=told, stderr=told)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)


def asked_of(prometheus: str, query: str) -> list[Any]:
    """What Prometheus answers to a query; nothing while it does not answer."""
    try:
        status, answer = ask(f"{prometheus}/api/v1/query?query={quote(query)}")
    except OSError:
        return []
    if status == 503:  # it reads its storage still
        return []
    assert status == 200, answer
    result: list[Any] = answer["data"]["result"]
    return result


def test_prometheus_itself_reads_the_figures_with_a_key_for_them(prometheus: str) -> None:
    def is_up() -> bool:
        return [one["value"][1] for one in asked_of(prometheus, 'up{job="recsys"}')] == ["1"]

    eventually(is_up, "the service is not asked, or refuses")
    for query in QUERIES.values():
        asked_of(prometheus, query)  # fails for one that it cannot work out
    eventually(lambda: bool(asked_of(prometheus, "recsys:fallback:share")), "no rule is worked out")
    [memory] = asked_of(prometheus, "process_resident_memory_bytes")
    assert float(memory["value"][1]) > 1 << 20

"""Ways to run, checked as far as a machine without containers can: linted, parsed, replayed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml

from servers import ask
from serving.keys import new_key

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
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
    for one in panel["targets"]
}
QUERIES |= {f"rule: {rule.get('alert') or rule['record']}": rule["expr"] for rule in RULES}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed"
)


def test_the_dockerfile_is_linted() -> None:
    linted = subprocess.run(
        [TOOLS / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


def test_the_image_has_what_the_project_asks_for_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    lines = (DEPLOY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    assert wanted <= set(project)
    assert not {"torch", "dgl"} & {re.split(r"[<>=]", line)[0] for line in wanted}


def test_compose_names_files_that_are_there() -> None:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    made_by_the_reader = {"./keys.toml", "./token"}
    for service in document["services"].values():
        assert ("image" in service) != ("build" in service)
        assert all(
            one.startswith("127.0.0.1:") for one in service["ports"]
        )  # nothing is open to the network
        mounted = {
            one.rpartition(":/")[0].split(":/")[0]
            for one in service["volumes"]
            if one.startswith("./")
        }
        assert all((DEPLOY / one).exists() for one in mounted - made_by_the_reader), mounted
    assert (
        DEPLOY / document["services"]["recsys"]["build"]["context"] / "deploy/Dockerfile"
    ).exists()


def manifests() -> list[Any]:
    return [
        one
        for file in (DEPLOY / "kubernetes").glob("*.yaml")
        for one in yaml.safe_load_all(file.read_text("utf-8"))
    ]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: one["kind"])
def test_kubernetes_manifests_have_the_schema(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_probes_ask_what_the_service_answers(address: str) -> None:
    [container] = next(one for one in manifests() if one["kind"] == "Deployment")["spec"][
        "template"
    ]["spec"]["containers"]
    paths = [
        container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    ]
    assert [ask(address + path)[0] for path in paths] == [200] * 3


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


def live_figures(address: str) -> dict[str, set[str]]:
    """Label names by metric, as a service tells them after a few requests."""
    for path in ("/v1/recommend/u01", "/v1/recommend/nobody", "/v1/similar/i01"):
        ask(address + path)
    labels: dict[str, set[str]] = {}
    for line in ask(address + "/metrics")[1].splitlines():
        if not line.startswith("#"):
            name, _, rest = re.match(r"(\w+)(\{)?(.*)", line).groups()  # type: ignore[union-attr]
            labels.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
    return labels


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_names_what_the_service_tells(query: str, address: str) -> None:
    figures = live_figures(address)
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
def test_promtool_accepts_rules_queries_and_figures(address: str, tmp_path: Path) -> None:
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
    live_figures(address)
    text = ask(address + "/metrics")[1]
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: continued lines joined, comments left out."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")
    ]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def replayed(tmp_path: Path) -> Path:
    """The build stage in an empty folder and a new environment; returns what becomes /opt/recsys."""
    source, home = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    base = Path(sys.base_prefix) / "bin"
    environment = {"PATH": f"{base}:/usr/bin:/bin", "HOME": str(tmp_path)}
    environment |= {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or "proxy" in name.lower()
    }
    for word, rest in instructions()[: [word for word, _ in instructions()].index("FROM", 1)]:
        if word == "COPY":
            *names, to = rest.split()
            for name in names:
                place = source / to / (name if to == "./" else "")
                place.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, place)
        if word == "RUN":
            step = rest.replace("/opt/recsys", str(home))
            subprocess.run(
                step,
                shell=True,
                check=True,
                cwd=source,
                env=environment,
                capture_output=True,
                timeout=900,
            )
    return home


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_steps_of_the_image_give_a_service_without_torch(
    bundle_path: Path, tmp_path: Path
) -> None:
    try:
        home = replayed(tmp_path)
    except subprocess.CalledProcessError as error:
        if b"No matching distribution" in error.stderr or b"Connection" in error.stderr:
            pytest.skip("the package index cannot be reached")
        raise AssertionError(error.stderr.decode()[-2_000:]) from error
    installed = subprocess.run(
        [home / "bin/python", "-m", "pip", "list"], capture_output=True, text=True, check=True
    ).stdout
    assert not re.search(r"^(torch|dgl)\s", installed, re.MULTILINE)
    token, lines = new_key("reader", ["read"], None)
    (tmp_path / "keys.toml").write_text(lines, encoding="utf-8")
    [command] = [
        json.loads(rest)
        for word, rest in instructions()
        if word == "CMD" and rest.startswith('["serve')
    ]
    places = {
        "/runs/current": str(bundle_path),
        "/etc/recsys/keys.toml": str(tmp_path / "keys.toml"),
        "8000": "18431",
    }
    arguments = [places.get(one, one) for one in command]
    with subprocess.Popen(
        [home / "bin/recsys", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            wait_until_ready("http://127.0.0.1:18431/readyz", service)
            headers = {"Authorization": f"Bearer {token}"}
            status, found = ask("http://127.0.0.1:18431/v1/recommend/u01?k=3", headers=headers)
            assert status == 200 and len(found["items"]) == 3
            [health] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
            probe = json.loads(health.split("CMD ", 1)[1])
            asked = [str(home / "bin/python"), *probe[1:-1], probe[-1].replace("8000", "18431")]
            subprocess.run(asked, check=True, timeout=30)
        finally:
            service.terminate()


def wait_until_ready(url: str, service: "subprocess.Popen[str]") -> None:
    for _ in range(600):
        assert service.poll() is None, service.stderr and service.stderr.read()
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"not ready: {shlex.join(map(str, service.args))}")  # type: ignore[arg-type]

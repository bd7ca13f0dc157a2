"""The image and what is started beside it, checked as far as a machine without containers can: linted,
locked, replayed.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker.utils.build import exclude_paths
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from patience import eventually
from servers import ask, is_ready
from serving.keys import new_key

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKED = re.compile(r"^([\w.-]+)==(\S+) \\$((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?$)+)", re.M)


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: continued lines joined, comments left out."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")
    ]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def build_stage() -> list[tuple[str, str]]:
    """The instructions before the second image."""
    starts = [place for place, (word, _) in enumerate(instructions()) if word == "FROM"]
    return instructions()[starts[0] : starts[1]]


def wanted() -> list[str]:
    """Lines of requirements.in."""
    lines = (DEPLOY / "requirements.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def locked() -> dict[str, str]:
    """Versions by package, of those that have hashes."""
    text = (DEPLOY / "requirements.lock").read_text(encoding="utf-8")
    return {canonicalize_name(found[1]): found[2] for found in LOCKED.finditer(text)}


def test_the_dockerfile_is_linted() -> None:
    linted = subprocess.run(
        [TOOLS / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda one: one.name)
def test_the_scripts_are_linted(script: Path) -> None:
    linted = subprocess.run(
        [TOOLS / "shellcheck", script], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout
    assert os.access(script, os.X_OK)


def test_the_image_has_what_the_project_asks_for_and_no_more() -> None:
    project = PROJECT["project"]
    told = {
        *project["dependencies"],
        *project["optional-dependencies"]["otel"],
        *PROJECT["build-system"]["requires"],
    }
    assert set(wanted()) <= told
    assert not {"torch", "dgl"} & {Requirement(line).name for line in wanted()}


def test_what_serving_imports_is_in_the_image() -> None:
    """A service that starts without anything else is shown by the slow test below; this one names what
    is missing.
    """
    program = (
        "import sys, json, serving.server, serving.telemetry, pipelines.commands.serve\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    imported = set(json.loads(told.stdout))
    dependencies = [Requirement(line).name for line in PROJECT["project"]["dependencies"]]
    named_otherwise = {"scikit-learn": "sklearn", "faiss-cpu": "faiss"}
    modules = {name: named_otherwise.get(name, name.replace("-", "_")) for name in dependencies}
    needed = {name for name in dependencies if modules[name] in imported}
    assert {"faiss-cpu", "tomli-w"} <= needed
    assert needed <= {Requirement(line).name for line in wanted()}


def test_the_lock_has_what_is_wanted_with_hashes() -> None:
    versions = locked()
    for line in wanted():
        requirement = Requirement(line)
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), line
    text = (DEPLOY / "requirements.lock").read_text(encoding="utf-8")
    assert len(versions) == len(re.findall(r"^\S+==", text, re.M))  # each has hashes


def test_the_image_installs_what_is_locked_and_nothing_else() -> None:
    installs = [
        part
        for word, rest in build_stage()
        if word == "RUN"
        for part in rest.split("&&")
        if "pip install" in part
    ]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0] and "requirements.lock" in installs[0]
    assert "--no-deps" in installs[1] and "--no-build-isolation" in installs[1]


def test_every_image_has_to_be_named_by_its_digest(tmp_path: Path) -> None:
    """No tag stands in the files, which anybody could push anew."""
    assert [rest for word, rest in instructions() if word == "ARG"] == ["BASE"]
    assert [rest.split()[0] for word, rest in instructions() if word == "FROM"] == ["${BASE}"] * 2
    listed = (DEPLOY / "images.txt").read_text(encoding="utf-8").splitlines()
    names = {line.split()[0] for line in listed if not line.startswith("#")}
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert names == set(re.findall(r"\$\{(\w+):\?write deploy/images.env", compose))
    pins = DEPLOY / "images.env"
    if pins.exists():
        for line in pins.read_text(encoding="utf-8").splitlines():
            assert re.fullmatch(r"\w+=\S+@sha256:[0-9a-f]{64}", line)


def test_the_context_is_what_is_copied_and_nothing_else(tmp_path: Path) -> None:
    """Docker's own reading of .dockerignore, of a checkout with all that lies about in one."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in ignored if line and not line.startswith("#")]
    copied = [rest.split()[:-1] for word, rest in build_stage() if word == "COPY"]
    sources = {source for several in copied for source in several}
    for source in sources:
        place = tmp_path / source
        if (ROOT / source).is_dir():
            (place / "__pycache__").mkdir(parents=True)
            (place / "__pycache__/module.pyc").touch()
            place /= "module.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    for private in (
        ".git/config",
        ".venv/bin/python",
        "data/log.parquet",
        "runs/shop/bundle",
        "keys.toml",
        "deploy/secrets/token",
        "deploy/images.env",
        "tests/test_x.py",
        ".env",
    ):
        (tmp_path / private).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / private).touch()
    sent = {path for path in exclude_paths(tmp_path, patterns) if (tmp_path / path).is_file()}
    assert sent == {
        f"{source}/module.py" if (ROOT / source).is_dir() else source for source in sources
    }


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def test_compose_names_files_that_are_there_and_makes_no_folders() -> None:
    document = compose()
    for service in document["services"].values():
        assert ("image" in service) != ("build" in service)
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")  # nothing is open to the network
        for mount in service["volumes"]:
            if mount["type"] == "volume":
                assert mount["source"] in document["volumes"]
                continue
            assert mount["bind"] == {"create_host_path": False}
            is_of_the_reader = mount["source"].startswith(("${RUN", "./secrets/"))
            assert is_of_the_reader or (DEPLOY / mount["source"]).exists()
        for secret in service.get("secrets", ()):
            assert secret in document["secrets"]
    context = DEPLOY / document["services"]["recsys"]["build"]["context"]
    assert (context / document["services"]["recsys"]["build"]["dockerfile"]).exists()


def test_nobody_gets_in_with_a_password_that_everybody_knows() -> None:
    document = compose()
    environment = document["services"]["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana-password"
    assert "GF_SECURITY_ADMIN_PASSWORD" not in environment
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    [job] = scraped["scrape_configs"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/token"
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "deploy/secrets/token"], cwd=ROOT, check=False
    )
    if (ROOT / ".git").exists():
        assert ignored.returncode == 0


def test_what_prometheus_has_gathered_outlives_its_container() -> None:
    services = compose()["services"]
    places = {mount["target"] for mount in services["prometheus"]["volumes"]}
    assert "/prometheus" in places
    assert "/var/lib/grafana" in {mount["target"] for mount in services["grafana"]["volumes"]}


class Registry(BaseHTTPRequestHandler):
    """The distribution API with one image of nothing, as far as a digest needs it."""

    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": "sha256:" + hashlib.sha256(config).hexdigest(),
                "size": len(config),
            },
            "layers": [],
        }
    ).encode()
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()

    def do_GET(self) -> None:
        kind = "application/vnd.oci.image.manifest.v1+json"
        known = {"/v2/": b"{}", "/v2/python/manifests/3.11": self.manifest}
        body = self.config if "/blobs/" in self.path else known.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("content-type", kind)
        self.send_header("docker-content-digest", self.digest)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo (Debian) is not installed")
def test_digests_are_those_that_the_registry_tells(registry: str, tmp_path: Path) -> None:
    def pin(image: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "images.txt").write_text(f"# a comment\n\nBASE {registry}/{image}\n")
        return subprocess.run(
            [DEPLOY / "pin.sh", tmp_path / "images.txt", tmp_path / "images.env"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PIN_OPTIONS": "--tls-verify=false"},
        )

    assert pin("python:3.11").returncode == 0
    pinned = f"BASE={registry}/python:3.11@{Registry.digest}\n"
    assert (tmp_path / "images.env").read_text() == pinned
    assert pin("python:4").returncode != 0
    assert (tmp_path / "images.env").read_text() == pinned  # what was there stays


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
    for word, rest in build_stage():
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
    pip = [home / "bin/python", "-m", "pip"]
    told = subprocess.run(
        [*pip, "list", "--format", "json"], capture_output=True, text=True, check=True
    ).stdout
    installed = {canonicalize_name(one["name"]): one["version"] for one in json.loads(told)}
    del installed["pip"], installed["recsys"]
    runtime = locked()
    del runtime["setuptools"]  # it builds, and is taken out again
    assert installed == runtime
    checked = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
    for line in checked.stdout.splitlines():  # training alone needs torch, dgl and the rest
        assert line.startswith("recsys "), line
    token, lines = new_key("reader", ["read"], None)
    (tmp_path / "keys.toml").write_text(lines, encoding="utf-8")
    [command] = [
        json.loads(rest)
        for word, rest in instructions()
        if word == "CMD" and rest.startswith('["serve')
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    places = {
        "/runs/current": str(bundle_path),
        "/etc/recsys/keys.toml": str(tmp_path / "keys.toml"),
        "8000": str(port),
    }
    arguments = [places.get(one, one) for one in command]
    with subprocess.Popen(
        [home / "bin/recsys", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            eventually(
                lambda: service.poll() is not None or is_ready(address),
                "the service does not start",
            )
            assert service.poll() is None, service.stderr and service.stderr.read()
            headers = {"Authorization": f"Bearer {token}"}
            status, found = ask(f"{address}/v1/recommend/u01?k=3", headers=headers)
            assert status == 200 and len(found["items"]) == 3
            [health] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
            probe = json.loads(health.split("CMD ", 1)[1])
            asked = [str(home / "bin/python"), *probe[1:-1], probe[-1].replace("8000", str(port))]
            subprocess.run(asked, check=True, timeout=30)
        finally:
            service.terminate()

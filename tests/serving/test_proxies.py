"""The examples of nginx and Caddy: the real programs on loopback, with TLS, before a real service."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_SECONDS, eventually
from servers import running
from serving.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = DEPLOY / "nginx/recsys.conf"
CADDY = DEPLOY / "caddy/Caddyfile"
NAME = "recsys.example"
CLOSED = [
    "/metrics",
    "/v1/admin/reload",
    "/v1/admin",
    "//v1/admin/reload",
    "/v1/%61dmin/reload",
    "/v1/x/../admin/reload",
    "/v1/admin%2freload",
    "/%6detrics",
]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of the proxy's own, recsys.pem, and its key, recsys.key."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-keyout", folder / "recsys.key", "-out", folder / "recsys.pem"]
    subprocess.run([*command, *named, *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundle_path: Path) -> Iterator[str]:
    """Behind a proxy on the same machine; it answers whoever asks for it by that name."""
    with running(Settings(bundle_path)) as address:
        yield address.removeprefix("http://")


def replaced(text: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        assert place in text, place
        text = text.replace(place, here)
    return text


class Proxy:
    def __init__(self, port: int, certificate: Path) -> None:
        self.port = port
        self._trusted = ssl.create_default_context(cafile=certificate / "recsys.pem")

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in small letters), and body; the path is sent as it is."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        client = http.client.HTTPConnection(NAME)
        client.sock = self._trusted.wrap_socket(plain, server_hostname=NAME)
        try:
            told = {"Host": "localhost", "Content-Type": "application/json", **headers}
            client.request(method, path, body, told)
            answer = client.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, answer.read()
        finally:
            client.close()

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False


def start_nginx(folder: Path, service: str, certificate: Path) -> tuple[list[str], int]:
    port = free_port()
    conf = replaced(
        NGINX.read_text(),
        {
            "server 127.0.0.1:8000;": f"server {service};",
            "/etc/nginx/tls": str(certificate),
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            f"server_name {NAME};": "server_name localhost;",
        },
    )
    (folder / "recsys.conf").write_text(conf)
    as_whom = "user root;" if os.getuid() == 0 else ""  # the folder of a test is its own
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{as_whom} daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {folder}/recsys.conf; }}\n"
    )
    arguments = ["-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    checked = subprocess.run(
        ["nginx", "-t", *arguments], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr
    return ["nginx", *arguments], port


def start_caddy(folder: Path, service: str, certificate: Path) -> tuple[list[str], int]:
    port = free_port()
    conf = replaced(
        CADDY.read_text(),
        {
            "reverse_proxy 127.0.0.1:8000": f"reverse_proxy {service}",
            "/etc/caddy/tls": str(certificate),
            f"{NAME} {{": f"https://localhost:{port}, https://{NAME}:{port} {{",
            "admin off": "admin off\n\tauto_https disable_redirects",
        },
    )
    (folder / "Caddyfile").write_text(conf)
    arguments = ["--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    checked = subprocess.run(
        ["caddy", "validate", *arguments], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    return ["caddy", "run", *arguments], port


Start = Callable[[Path, str, Path], tuple[list[str], int]]


@pytest.fixture(
    scope="module", params=[("nginx", start_nginx), ("caddy", start_caddy)], ids=("nginx", "caddy")
)
def proxy(
    request: pytest.FixtureRequest,
    service: str,
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    program, start = request.param
    if shutil.which(program) is None:
        pytest.skip(f"{program} (Debian: {program}) is not installed")
    folder = tmp_path_factory.mktemp(program)
    command, port = start(folder, service, certificate)
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
    command[0] = str(shutil.which(program))
    with (folder / "told").open("w") as told:
        running_proxy = subprocess.Popen(command, stderr=told, stdout=told, env=environment)
        try:
            proxy = Proxy(port, certificate)
            eventually(
                lambda: proxy.is_up() or running_proxy.poll() is not None, "it does not start"
            )
            assert running_proxy.poll() is None, (folder / "told").read_text()
            yield proxy
        finally:
            running_proxy.terminate()
            running_proxy.wait(PATIENCE_SECONDS)


def listed(body: bytes) -> list[str]:
    return [item["id"] for item in json.loads(body)["items"]]


def test_lists_come_through_it_with_tls(proxy: Proxy) -> None:
    status, headers, body = proxy.ask("GET", "/v1/recommend/u01?k=3")
    assert (status, len(listed(body))) == (200, 3)
    assert headers["strict-transport-security"] == "max-age=63072000"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers or "/" not in headers["server"]
    asked: dict[str, Any] = {"requests": [{"user": "u01"}, {"user": "u02"}], "k": 2}
    status, _, body = proxy.ask("POST", "/v1/recommend", json.dumps(asked).encode())
    assert (status, len(json.loads(body)["answers"])) == (200, 2)


def test_ids_with_slashes_and_signs_arrive_as_they_were_sent(proxy: Proxy) -> None:
    body = proxy.ask("GET", "/v1/recommend/a%2Fb%20c%3F?k=1")[2]
    assert json.loads(body)["unknown"] == ["a/b c?"]


def test_the_id_of_a_request_passes_and_every_answer_has_one(proxy: Proxy) -> None:
    headers = proxy.ask("GET", "/v1/recommend/u01", **{"X-Request-ID": "shop-7"})[1]
    assert headers["x-request-id"] == "shop-7"
    assert len(proxy.ask("GET", "/v1/recommend/u01")[1]["x-request-id"]) >= 16


@pytest.mark.parametrize("path", CLOSED)
def test_what_operators_ask_is_not_let_through(proxy: Proxy, path: str) -> None:
    for method in ("GET", "POST"):
        status, headers, _ = proxy.ask(method, path)
        assert status in (400, 404)
        assert "x-request-id" not in headers  # the proxy has answered


def test_bodies_as_large_as_the_service_takes_pass_and_no_larger(proxy: Proxy) -> None:
    """Of a larger one a proxy may close the connection before all of it was sent."""
    most = b" " * (Settings(Path()).body_bytes - 1024)
    status, headers, _ = proxy.ask("POST", "/v1/recommend", most)
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    with suppress(OSError):
        assert proxy.ask("POST", "/v1/recommend", most + b" " * 4096)[0] == 413
    assert proxy.is_up()


def test_packed_answers_stay_packed(proxy: Proxy) -> None:
    _, headers, body = proxy.ask("GET", "/openapi.json", **{"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip" and body[:2] == b"\x1f\x8b"


def test_the_example_of_caddy_is_written_as_caddy_writes_it() -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy (Debian: caddy) is not installed")
    written = subprocess.run([caddy, "fmt", CADDY], capture_output=True, text=True, check=False)
    assert written.stdout == CADDY.read_text()

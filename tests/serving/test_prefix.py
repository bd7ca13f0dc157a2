"""A service under a prefix, behind a proxy that keeps it and behind one that strips it."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from proxies import proxied
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Lookup
from servers import ask, running
from serving.client import Client
from serving.keys import new_key
from serving.prefix import require_prefix
from serving.settings import Settings


@pytest.fixture(scope="module")
def service(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("run")
    with running(
        Settings(bundle_path, folder, events=folder / "events.jsonl", prefix="/shop/recs")
    ) as address:
        yield address


@pytest.fixture(params=["keeps", "strips"])
def address(request: pytest.FixtureRequest, service: str) -> Iterator[str]:
    with proxied(service, "/shop/recs", strips=request.param == "strips") as address:
        yield address


def test_every_path_of_the_description_is_under_the_prefix(address: str) -> None:
    document = ask(f"{address}/openapi.json")[1]
    [server] = document["servers"]
    assert server["url"] == urlsplit(address).path == "/shop/recs"
    for path, operations in document["paths"].items():
        for method in operations:
            sent = {} if method == "post" else None
            found, answer = ask(address + path.replace("{", "").replace("}", ""), sent)
            told = answer.get("code") if isinstance(answer, dict) else None
            assert told != "unknown_path" and found != 405, (method, path, answer)


def test_the_client_works_under_the_prefix(address: str, lookup: Lookup) -> None:
    with Client(f"{address}/") as client:
        [expected] = lookup.recommend(["u04"], 3)
        assert client.recommend("u04", 3)["items"] == expected["items"]


def test_where_a_job_is_asked_for_has_the_prefix(address: str) -> None:
    request = urllib.request.Request(f"{address}/v1/admin/reload?wait=0", b"", method="POST")
    with urllib.request.urlopen(request) as answer:
        job = json.load(answer)["job"]
        if answer.status == 202:
            assert answer.headers["Location"] == f"/shop/recs/v1/admin/jobs/{job}"
    assert ask(f"{address}/v1/admin/jobs/{job}")[0] == 200


def test_the_page_is_at_the_prefix_with_relative_addresses(address: str) -> None:
    status, page = ask(f"{address}/")
    assert status == 200 and 'src="page/app.js"' in page and '="/' not in page
    assert ask(f"{address}/page/app.js")[0] == 200


def test_the_prefix_alone_leads_to_the_page(service: str) -> None:
    with urllib.request.urlopen(f"{service}/shop/recs") as answer:
        assert answer.url == f"{service}/shop/recs/" and b"<title>recsys" in answer.read()


def test_a_prefix_opens_nothing(bundle_path: Path, tmp_path: Path) -> None:
    """Keys are asked for by the path that answers, however it is written."""
    token, lines = new_key("reader", ("read",))
    (tmp_path / "keys.toml").write_text(lines)
    with running(Settings(bundle_path, keys=tmp_path / "keys.toml", prefix="/recs")) as address:
        key = {"Authorization": f"Bearer {token}"}
        for path in ("/recs", ""):
            assert ask(f"{address}{path}/v1/model")[0] == 401
            assert ask(f"{address}{path}/v1/model", headers=key)[0] == 200
            assert ask(f"{address}{path}/v1/admin/reload", b"", key)[0] == 403
            assert ask(f"{address}{path}/healthz")[0] == 200
        assert ask(f"{address}/recs/recs/healthz")[0] == 401
        assert ask(f"{address}/page/..%2Fv1/model")[0] in (401, 404)


@pytest.mark.parametrize(
    "prefix", ["recs", "/recs/", "/", "/a b", "/v1", "/page/x", "/metrics", "/..", "/{x}", "//x"]
)
def test_what_cannot_be_a_prefix(prefix: str) -> None:
    with pytest.raises(UsageError, match="--prefix"):
        require_prefix(prefix)


def test_prefixes() -> None:
    for prefix in ("", "/recs", "/shop/recs-2", "/v2"):
        require_prefix(prefix)

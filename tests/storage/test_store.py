"""Objects at URLs, against a server that speaks S3 over HTTP."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from object_stores import SECRET, ObjectServer, object_server, put
from outages import way_to
from patience import PATIENCE_SECONDS, eventually
from recsys.core.errors import DataError, MachineError, UsageError
from recsys.storage import store as stores
from recsys.storage.store import ChangedMeanwhile, Store


def test_what_is_written_is_listed_read_and_gone(url: str, tmp_path: Path) -> None:
    store = Store(url)
    put(store, {"b/two": b"22", "a": b"1", "b/deep/three": b""}, tmp_path)
    assert [(entry.key, entry.bytes) for entry in store.entries()] == [
        ("a", 1),
        ("b/deep/three", 0),
        ("b/two", 2),
    ]
    assert [entry.key for entry in store.entries("b/")] == ["b/deep/three", "b/two"]
    store.download(store.entry("b/two"), tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"22"
    store.download(store.entry("b/deep/three"), tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    store.delete(["a", "never there"])
    assert store.entry("a") is None and store.read("a") is None


def test_tags_are_alike_in_listings_and_answers() -> None:
    """Azure leaves the quotes out of listings."""
    quoted = {"e_tag": '"0x20"'}
    assert stores._etag({"e_tag": "0x20"}) == stores._etag(quoted) == '"0x20"'
    assert stores._etag({"e_tag": None}) is None and stores._etag({}) is None


def test_large_objects_come_and_go_in_parts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "BLOCK_BYTES", 5 << 20)
    content = os.urandom((12 << 20) + 7)
    put(Store(url), {"large": content}, tmp_path)
    counts: list[int] = []
    Store(url).download(Store(url).entry("large"), tmp_path / "back", counts.append)
    assert (tmp_path / "back").read_bytes() == content
    assert counts == [5 << 20, 5 << 20, (2 << 20) + 7]


def test_of_two_writers_one_wins_and_the_other_is_told(url: str) -> None:
    mine, theirs = Store(url), Store(url)
    mine.write("live.json", b"1", "nothing")
    with pytest.raises(ChangedMeanwhile, match=r"live\.json was changed by somebody else"):
        theirs.write("live.json", b"2", "nothing")
    read = theirs.read("live.json")
    mine.write("live.json", b"3", mine.read("live.json"))
    with pytest.raises(ChangedMeanwhile):
        theirs.write("live.json", b"4", read)
    assert mine.read("live.json").content == b"3"


def test_an_object_that_changes_while_it_comes_is_refused(url: str, tmp_path: Path) -> None:
    store = Store(url)
    put(store, {"log.csv": b"user,item\n"}, tmp_path)
    listed = store.entry("log.csv")
    put(store, {"log.csv": b"user,itex\n"}, tmp_path)
    with pytest.raises(DataError, match=r"log\.csv has changed while it was read"):
        store.download(listed, tmp_path / "back")
    store.delete(["log.csv"])
    with pytest.raises(DataError, match=r"log\.csv has changed while it was read"):
        store.download(listed, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("call", ["entries", "write", "upload"])
def test_a_bucket_that_is_not_there_is_named(url: str, tmp_path: Path, call: str) -> None:
    store = Store("s3://other-shop/logs")
    calls = {
        "entries": store.entries,
        "write": lambda: store.write("a", b"", "nothing"),
        "upload": lambda: put(store, {"a": b"1"}, tmp_path),
    }
    with pytest.raises(DataError, match="there is no bucket 'other-shop'"):
        calls[call]()


def test_a_server_that_goes_away_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server("shop") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = Store("s3://shop")
        put(store, {"log": bytes(3 << 20)}, tmp_path)
        monkeypatch.setattr(stores, "BLOCK_BYTES", 1 << 20)
        entry = store.entry("log")
        with pytest.raises(MachineError, match="cannot reach s3://shop/log"):
            store.download(entry, tmp_path / "back", lambda count: server.kill())
        with pytest.raises(MachineError, match="cannot reach s3://shop/other"):
            put(store, {"other": b"1"}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["object"]


def test_no_credentials_are_told_with_the_remedy(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # Where a machine of the cloud would tell them: nobody listens.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(MachineError, match="no credentials for s3://shop") as caught:
        Store("s3://shop").entries()
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKID:{SECRET}@shop/logs",
        f"s3://{SECRET}@shop/logs",
        f"s3://shop/logs?secret_access_key={SECRET}",
        f"az://shop/logs?sig={SECRET}",
        f"abfss://shop:{SECRET}@account.dfs.core.windows.net/logs",
        f"https://shop.example/log.csv?X-Amz-Signature={SECRET}",
    ],
)
def test_a_url_with_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="carries a") as caught:
        Store(url)
    assert SECRET not in str(caught.value)
    assert "environment" in caught.value.remedy


def test_without_obstore_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['obstore'] = None; sys.modules['obstore.store'] = None\n"
        "from recsys.storage.store import Store; Store('s3://shop')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        "MachineError: s3://shop is object storage, and obstore is not installed" in answer.stderr
    )
    assert 'pip install "recsys[remote]"' in answer.stderr


def test_the_library_is_not_loaded_before_it_is_wanted() -> None:
    code = "import sys, pipelines.cli, recsys.storage.inputs; assert 'obstore' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_server_that_is_away_for_a_while_is_asked_again(
    url: str, server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than any number of tries would allow: the time alone is the bound."""
    monkeypatch.setenv("RECSYS_STORE_SECONDS", str(PATIENCE_SECONDS))
    monkeypatch.setattr(stores, "_LONGEST_PAUSE_SECONDS", 0.1)
    with way_to(server.port) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
        store = Store(url)
        put(store, {"before": b"1"}, tmp_path)
        way.cut()
        work = threading.Thread(target=put, args=(store, {"during": b"2"}, tmp_path))
        work.start()
        eventually(lambda: way.refused >= 30 or not work.is_alive(), "nobody asks")
        assert work.is_alive(), f"it gave up after {way.refused} tries"
        way.join()
        eventually(lambda: not work.is_alive(), "it is not asked any more")
        assert [entry.key for entry in store.entries()] == ["before", "during"]


def test_a_write_whose_answer_is_lost_finds_itself(
    url: str, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is there, nobody was told: the second try is refused, and it is our own content."""
    monkeypatch.setenv("RECSYS_STORE_SECONDS", str(PATIENCE_SECONDS))
    with way_to(server.port) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
        store = Store(url)
        way.lose_answers = 1
        store.write("live.json", b"1", "nothing")
        assert way.lost == 1
        assert store.read("live.json").content == b"1"


@pytest.mark.parametrize("abrupt", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("call", ["entries", "read", "upload", "delete", "download"])
def test_a_connection_that_breaks_is_made_again(
    url: str,
    server: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    abrupt: bool,
) -> None:
    monkeypatch.setenv("RECSYS_STORE_SECONDS", str(PATIENCE_SECONDS))
    with way_to(server.port) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
        store = Store(url)
        put(store, {"log": b"1"}, tmp_path)
        listed = store.entry("log")
        calls = {
            "entries": store.entries,
            "read": lambda: store.read("log"),
            "upload": lambda: put(store, {"other": b"2"}, tmp_path),
            "delete": lambda: store.delete(["log"]),
            "download": lambda: store.download(listed, tmp_path / "back"),
        }
        way.lose_answers, way.abrupt = 3, abrupt
        calls[call]()
        assert way.lost == 3

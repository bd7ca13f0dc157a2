"""Fetching, against a file server on the loopback interface that breaks off, corrupts and forgets
on request.
"""

import gzip
import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from recsys.core.artefacts import read_json
from recsys.core.errors import DataError, MachineError, UsageError
from recsys.logs.download import download, verify
from recsys.logs.fetch import Descriptor, fetch, find_descriptor, read_descriptor

CONTENT = bytes(range(256)) * 4000  # about a megabyte
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
SOURCES = Path(__file__).parents[2] / "data" / "sources"


class Files(ThreadingHTTPServer):
    """content: what is served. cuts: bytes after which each of the next answers breaks off. ranges:
    asked for so far.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.status = CONTENT, '"one"', 200
        self.cuts, self.ranges, self.honours_ranges = [], [], True

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.ranges.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        resumes = asked and server.honours_ranges and self.headers.get("If-Range") == server.tag
        if resumes and first >= len(server.content):
            self.send_error(416)
            return
        body = server.content[first if resumes else 0 :]
        self.send_response(206 if resumes else 200)
        self.send_header("Content-Length", str(len(body)))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Files() as files:
        thread = threading.Thread(target=files.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield files
        files.shutdown()
        thread.join()


def get(server, path, **options):
    return download(server.address, path, pause_seconds=0, **options)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_verified(server, tmp_path):
    seen = []
    found = get(
        server,
        tmp_path / "f",
        checksum=SHA256,
        moved=lambda done, expected: seen.append((done, expected)),
    )
    assert found == SHA256 and (tmp_path / "f").read_bytes() == CONTENT
    assert left(tmp_path) == ["f"] and server.ranges == [None]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_an_interrupted_download_continues(server, tmp_path):
    server.cuts = [300_000, 100_000]
    assert get(server, tmp_path / "f") == SHA256
    assert server.ranges == [None, "bytes=300000-", "bytes=400000-"]


def test_it_continues_after_the_process_died(server, tmp_path):
    server.cuts = [300_000]
    with pytest.raises(MachineError, match=r"Try again later.*f\.part"):
        get(server, tmp_path / "f", attempts=1)
    assert left(tmp_path) == ["f.part", "f.part.json"]
    assert get(server, tmp_path / "f", attempts=1) == SHA256
    assert server.ranges[-1] == "bytes=300000-" and left(tmp_path) == ["f"]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server, tmp_path):
    server.cuts = [300_000]
    with pytest.raises(MachineError):
        get(server, tmp_path / "f", attempts=1)
    server.content, server.tag = CONTENT[::-1], '"two"'
    get(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("how", ["no ranges", "no tag"])
def test_servers_that_cannot_continue(server, tmp_path, how):
    server.honours_ranges = how != "no ranges"
    server.tag = None if how == "no tag" else server.tag
    server.cuts = [300_000]
    assert get(server, tmp_path / "f") == SHA256


def test_a_part_beyond_the_end_is_thrown_away(server, tmp_path):
    server.cuts = [300_000]
    with pytest.raises(MachineError):
        get(server, tmp_path / "f", attempts=1)
    server.content = CONTENT[:300_000]
    assert get(server, tmp_path / "f") == f"sha256:{hashlib.sha256(CONTENT[:300_000]).hexdigest()}"


def test_corrupted_content_is_refused_and_removed(server, tmp_path):
    server.content = b"x" + CONTENT[1:]
    with pytest.raises(DataError, match="not the file that was expected"):
        get(server, tmp_path / "f", checksum=SHA256)
    assert left(tmp_path) == []


def test_servers_that_refuse_or_are_not_there(server, tmp_path):
    server.status = 404
    with pytest.raises(MachineError, match="404"):
        get(server, tmp_path / "f")
    assert len(server.ranges) == 1
    server.status = 503
    with pytest.raises(MachineError, match="503"):
        get(server, tmp_path / "f", attempts=2)
    assert len(server.ranges) == 3
    with pytest.raises(MachineError, match="could not fetch"):
        download("http://127.0.0.1:9/none", tmp_path / "f", attempts=1)
    with pytest.raises(UsageError, match="http"):
        download("ftp://example.org/f", tmp_path / "f")


def test_checksums(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert verify(tmp_path / "f", "md5:900150983CD24FB0D6963F7D28E17F72")
    assert not verify(tmp_path / "f", SHA256)
    with pytest.raises(UsageError, match="crc"):
        verify(tmp_path / "f", "crc:1")


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, text in members.items():
            packed.writestr(name, text)
    return buffer.getvalue()


MEMBERS = {
    "ml/ratings.dat": b"1::10::5::1600000000\n2::11::3::1600000060\n",
    "ml/movies.dat": '10::Amélie (2001)::Comedy|Romance\n11::"Heat"::Crime\n'.encode("latin-1"),
    "ml/users.dat": b"id,a,b\n1,0,1\n2,0,0\n",
    "../../escape.txt": b"never written",
}


def descriptor(server, **other):
    facts = {
        "title": "Test",
        "homepage": "-",
        "address": server.address,
        "licence": "none",
        "citation": "-",
    }
    log = {
        "member": "ml/ratings.dat",
        "separator": "::",
        "columns": ["user_id", "item_id", "rating", "timestamp"],
    }
    return Descriptor.model_validate(facts | {"log": log} | other)


def test_a_source_becomes_parquet_with_standard_columns(server, tmp_path):
    server.content = archive(MEMBERS)
    items = {
        "member": "ml/movies.dat",
        "separator": "::",
        "encoding": "latin-1",
        "columns": ["item_id", "title", "genres"],
        "lists": {"genres": "|"},
    }
    users = {
        "member": "ml/users.dat",
        "rename": {"id": "user_id"},
        "flags": {"tags": ["a", "b"]},
        "keep": ["user_id", "tags"],
    }
    folder = fetch(descriptor(server, items=items, users=users), tmp_path / "src")
    assert pl.read_parquet(folder / "interactions.parquet").row(1) == ("2", "11", "3", "1600000060")
    assert pl.read_parquet(folder / "items.parquet").row(0) == (
        "10",
        "Amélie (2001)",
        ["Comedy", "Romance"],
    )
    assert pl.read_parquet(folder / "users.parquet").rows() == [("1", ["b"]), ("2", [])]
    assert left(folder) == [
        "file.bin",
        "interactions.parquet",
        "items.parquet",
        "source.json",
        "users.parquet",
    ]
    assert left(tmp_path) == ["src"]


def test_the_checksum_of_the_first_fetch_is_recorded_and_holds(server, tmp_path):
    server.content = archive(MEMBERS)
    source = descriptor(server)
    folder = fetch(source, tmp_path / "src")
    recorded = read_json(folder / "source.json")
    assert recorded["checksum"] == f"sha256:{hashlib.sha256(server.content).hexdigest()}"
    fetch(source, folder)
    assert len(server.ranges) == 1
    (folder / "file.bin").unlink()
    server.content = archive(MEMBERS | {"new": b"changed"})
    with pytest.raises(DataError, match="not the file that was expected"):
        fetch(source, folder)
    assert read_json(folder / "source.json") == recorded


def test_packed_text_with_its_own_time_format(server, tmp_path):
    server.content = gzip.compress(
        b"Who,What,When\n17850.0,85123A,12/1/2010 8:26\n,71053,1/12/2011 12:50\n"
    )
    server.__class__.address = property(
        lambda self: f"http://127.0.0.1:{self.server_port}/log.csv.gz"
    )
    try:
        rename = {"Who": "user_id", "What": "item_id", "When": "timestamp"}
        folder = fetch(
            descriptor(server, log={"rename": rename, "time_format": "%m/%d/%Y %H:%M"}),
            tmp_path / "src",
        )
    finally:
        server.__class__.address = property(
            lambda self: f"http://127.0.0.1:{self.server_port}/file.bin"
        )
    assert pl.read_parquet(folder / "interactions.parquet").rows() == [
        ("17850.0", "85123A", 1_291_191_960),
        (None, "71053", 1_294_836_600),
    ]


def test_archives_without_the_member(server, tmp_path):
    for content in (archive({"other": b""}), b"no archive"):
        server.content = content
        with pytest.raises(DataError, match=r"holds no 'ml/ratings.dat'"):
            fetch(descriptor(server), tmp_path / str(len(content)))


def test_every_descriptor_of_the_repository_is_complete():
    paths = sorted(SOURCES.glob("*.toml"))
    assert {"ml-100k", "ml-1m", "ml-25m", "ml-latest-small", "gowalla", "online-retail"} <= {
        path.stem for path in paths
    }
    for path in paths:
        source = read_descriptor(path)
        assert source.address.startswith("https://") and source.licence and source.citation
        assert (source.checksum is None) == (source.checksum_source is None)


def test_descriptors_that_are_not_there_or_wrong(tmp_path):
    with pytest.raises(UsageError, match=r"'ml-100'.*Did you mean 'ml-100k'"):
        find_descriptor("ml-100", SOURCES)
    assert find_descriptor("ml-100k", SOURCES).bytes == 4_924_029
    (tmp_path / "bad.toml").write_text('title = "x"\n')
    with pytest.raises(DataError, match="not a source descriptor"):
        read_descriptor(tmp_path / "bad.toml")

"""`recsys export --to` and `recsys push` as they are called, and what is wrong with a call."""

import json
import sys
from pathlib import Path

import pytest

from chain import Call
from recsys.bundle.bundle import Bundle


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    pytest.importorskip("qdrant_client")
    return tmp_path / "qdrant"


def test_export_twice_then_push(call: Call, bundle: Bundle, embedded: Path) -> None:
    called = call("export", bundle.path, embedded, "--to", "qdrant", "--json", "--users", "--quiet")
    assert called.code == 0, called.err
    facts = json.loads(called.out)
    assert facts["written"] and facts["rows"] == {"items": 40, "users": 30}
    assert facts["recall"]["store"] == 1.0 and facts["recall"]["served"] == 1.0
    called = call("export", bundle.path, embedded, "--to", "qdrant", "--quiet")
    assert called.code == 0
    assert f"recsys_items has bundle {bundle.name} already" in called.out
    called = call("push", bundle.path, embedded, "--to", "qdrant")
    assert called.code == 0 and "0 items written, 0 deleted" in called.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "qdrnt", "x"], 2, "Did you mean 'qdrant'?"),
        (["--to", "qdrant"], 2, "writes to a URL or path"),
        ([], 2, "nowhere to export to"),
        (["--to", "qdrant", "x", "--name", "Shop; DROP"], 2, "Small letters"),
        (["--to", "qdrant", "x", "--index", "ivf"], 2, "hnsw or flat"),
        (["--to", "pgvector", "postgresql://me:secret@db/x"], 2, "Leave it to $PGPASSWORD"),
        (["--to", "redis", "redis://db?password=secret"], 2, "Leave it to $REDIS_PASSWORD"),
        (["--to", "opensearch", "https://me:secret@db"], 2, "Leave it to $OPENSEARCH_PASSWORD"),
    ],
)
def test_wrong_calls(
    call: Call, bundle: Bundle, arguments: list[str], code: int, said: str
) -> None:
    called = call("export", bundle.path, *arguments)
    assert called.code == code and said in called.err
    assert "secret" not in called.err


@pytest.mark.parametrize(
    ("kind", "module", "url"),
    [
        ("pgvector", "psycopg", "postgresql://127.0.0.1:1/none"),
        ("redis", "redis", "redis://127.0.0.1:1"),
        ("qdrant", "qdrant_client", "http://127.0.0.1:1"),
        ("opensearch", "opensearchpy", "http://127.0.0.1:1"),
    ],
)
def test_a_store_that_is_not_there(
    call: Call, bundle: Bundle, kind: str, module: str, url: str
) -> None:
    pytest.importorskip(module)
    called = call("export", bundle.path, url, "--to", kind, "--quiet")
    assert called.code == 1
    assert "does not answer" in called.err or "refuses" in called.err


def test_a_client_that_is_not_installed(
    call: Call, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "recsys.vector_stores.pgvector", raising=False)
    called = call("export", bundle.path, "postgresql://db/x", "--to", "pgvector")
    assert called.code == 1 and 'pip install "recsys[pgvector]"' in called.err


def test_an_encoder_as_onnx(call: Call, bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    called = call("export", bundle.path, tmp_path / "encoder", "--to", "onnx")
    assert called.code == 0 and "inputs: rev_buy_index, rev_buy_weight" in called.out
    assert (tmp_path / "encoder" / "encoder.onnx").exists()

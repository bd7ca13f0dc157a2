"""Lists, and the figures of a run, on a Ray cluster are those of one process."""

import argparse
import threading
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.made_up import made_up
from held_up import wait_at
from patience import eventually
from recsys.core.artefacts import content_sha256
from recsys.core.progress import QUIET
from recsys.core.runners import LocalRunner, Runner
from recsys.lookup import batch_buckets
from recsys.lookup.batch_buckets import Asked, write_parts
from recsys.lookup.lookup import Lookup
from recsys.releases.publish import write_bundle

pytestmark = pytest.mark.cluster

BUCKETS = 4


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Lists of 9,000 users, of whom about a thousand are scored at once."""
    size = argparse.Namespace(users=9_000, items=4_000, pairs=40_000, width=16, seed=0)
    bundle = write_bundle(tmp_path_factory.mktemp("bundles"), made_up(size))
    return Asked(str(bundle), 10, True, 0.0)


@pytest.fixture(scope="module")
def undisturbed(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("lists")
    write_parts(asked, None, BUCKETS, out / "parts", LocalRunner(), QUIET)
    return content_sha256(out / "parts")


def test_lists_on_ray_are_the_rows_of_one_file(
    asked: Asked, undisturbed: str, tmp_path: Path, runner: Runner
) -> None:
    write_parts(asked, None, BUCKETS, tmp_path / "parts", runner, QUIET)
    assert content_sha256(tmp_path / "parts") == undisturbed
    lookup = Lookup(batch_buckets.Bundle.load(Path(asked.bundle)))
    lookup.batch(None, asked.k, tmp_path / "one.parquet")
    parts = [pl.read_parquet(part) for part in sorted((tmp_path / "parts").iterdir())]
    assert len(parts) == BUCKETS
    assert pl.concat(parts).equals(pl.read_parquet(tmp_path / "one.parquet"))


def test_a_node_is_killed_while_lists_are_made(
    asked: Asked,
    undisturbed: str,
    tmp_path: Path,
    runner: Runner,
    cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    held_up = partial(wait_at, batch_buckets.write_part, str(gate))
    monkeypatch.setattr(batch_buckets, "write_part", held_up)
    out = tmp_path / "parts"
    work = threading.Thread(target=write_parts, args=(asked, None, BUCKETS, out, runner, QUIET))
    work.start()
    eventually(lambda: len(list(gate.glob("lists-?"))) >= 2, "no two calls started")
    cluster.kill(int(sorted(gate.glob("lists-?"))[0].read_text()))
    (gate / "open").touch()
    eventually(lambda: not work.is_alive(), "the lists do not end")
    assert content_sha256(out) == undisturbed

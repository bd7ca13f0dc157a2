"""An epoch of ours beside a peer's: on the same pairs, extrapolated from the batches measured."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.accuracy import prepared
from benchmarks.accuracy.data import checksums, configuration, load
from benchmarks.accuracy.epoch_speed import epoch_beside, epochs_text
from benchmarks.accuracy.rows import Row, row
from benchmarks.accuracy.run import Place

OURS = Row("small", "Small", changes={"model": {"width": 8}, "train": {"batch_size": 64}})
PEER = Row(
    "peer:slow", "Slow", script="with_pyg.py", settings={"batch_size": 100}, environment="peers"
)


def a_python_that_prints(folder: Path, facts: str) -> None:
    """A stand-in for the Python of the environment "peers": prints the same whatever it is asked."""
    python = folder / "peers" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ncp \"$2\" {folder}/train.parquet\necho '{facts}'\n")
    python.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Thirty users with some of thirty items each."""
    pairs: list[tuple[int, int]] = []
    for user in range(30):
        for item in range(30):
            if (user + item) % 2 == 0:
                pairs.append((user, item))
    folder = tmp_path / "data" / "filmtrust"
    folder.mkdir(parents=True)
    table = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    table.write_parquet(folder / "interactions.parquet")
    return Place(tmp_path / "data", tmp_path / "cache", tmp_path / "peers")


def test_an_epoch_is_the_measured_batch_times_the_batches_of_the_pairs(place: Place) -> None:
    facts = '{"cpu_seconds_per_batch": 1.5, "seconds_per_batch": 9, "batches": 3, "peak_mb": 77}'
    assert place.peers
    a_python_that_prints(place.peers, facts)
    found = epoch_beside(OURS, PEER, "filmtrust", place, 3, threads=1)
    # 450 pairs, of each user's 15 three in the test.
    given = pl.read_parquet(place.peers / "train.parquet")
    assert found["pairs"] == len(given) == len(given.unique()) == 360
    assert found["theirs"] == {
        "cpu_seconds": 6.0,
        "cpu_seconds_per_batch": 1.5,
        "batches_measured": 3,
        "batches_an_epoch": 4,
        "peak_mb": 77,
    }
    assert found["ours"]["mode"] == "histories"
    assert 0 < found["ours"]["cpu_seconds"] < 30


def test_epochs_are_shown_with_their_ratio() -> None:
    figures: dict[str, Any] = {
        "row": "default",
        "peer": "peer:pyg-lightgcn",
        "device": "cpu, 1 thread",
        "pairs": 3_257_054,
        "ours": {"cpu_seconds": 40.0},
        "theirs": {"cpu_seconds": 1300.0},
        "ratio": 32.5,
    }
    text = epochs_text([{"data": "planted-5m", "figures": figures}], {"peer:pyg-lightgcn": "PyG"})
    assert (
        "| planted-5m | 3,257,054 | PyG | 1300.0 | `default` | 40.0 | 32.5 × | cpu, 1 thread |"
    ) in text
    assert epochs_text([], {}) == ""


def test_a_planted_set_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(prepared.PLANTED_ROWS, "planted-1m", 3_000)
    config = configuration("planted-1m", tmp_path, {})
    log, splits = load(config, tmp_path / "cache" / "planted-1m")
    assert checksums("planted-1m", config) == {}
    drawn = pl.read_parquet(tmp_path / "cache" / "planted-1m" / "interactions.parquet")
    assert len(drawn) == 3_000 and len(log.users) <= 120
    assert splits.method == "global_time" and len(splits.test) > 0


def test_the_peer_of_the_arenas_has_lightgcns_published_settings() -> None:
    settings = row("peer:pyg-lightgcn").settings
    assert (settings["width"], settings["layers"], settings["batch_size"]) == (64, 3, 2048)

"""results.json: what replaces what, and what the seeds of a row come to."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.epoch_log import as_result, best_on_test, first_to_reach
from benchmarks.accuracy.results import REQUIRED, add, read, summarise


def entry(**changes: Any) -> dict[str, Any]:
    """A complete entry."""
    known = {
        "dataset": "films",
        "row": "full",
        "seed": 0,
        "recall@20": 0.2,
        "ndcg@20": 0.1,
        "selected_on": "validation",
    }
    rest = {
        "config": {},
        "commit": "abc",
        "data_sha256": {},
        "seconds": 60.0,
        "peak_mb": 500,
        "device": "cpu",
    }
    return known | rest | changes


def test_an_entry_replaces_that_of_its_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    add(entry(), path)
    add(entry(seed=1), path)
    add(entry(selected_on="test"), path)
    add(entry(seconds=61.0), path)
    assert [(one["seed"], one["selected_on"], one["seconds"]) for one in read(path)] == [
        (0, "test", 60.0),
        (0, "validation", 61.0),
        (1, "validation", 60.0),
    ]


def test_adding_at_once_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: add(entry(seed=seed), path), range(24)))
    assert [one["seed"] for one in read(path)] == list(range(24))
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("name", REQUIRED)
def test_an_incomplete_entry_is_refused(name: str, tmp_path: Path) -> None:
    broken = entry()
    del broken[name]
    with pytest.raises(ValueError, match=name):
        add(broken, tmp_path / "results.json")


def test_mean_and_spread_over_seeds() -> None:
    found = summarise(
        [entry(seed=seed, **{"ndcg@20": value}) for seed, value in enumerate([0.1, 0.2, 0.3])]
    )
    one = found["films", "full", "validation"]
    assert one.seeds == (0, 1, 2)
    assert one.mean["ndcg@20"] == pytest.approx(0.2)
    assert one.spread["ndcg@20"] == pytest.approx(0.1)  # divided by n − 1


def test_a_shape_chosen_on_the_test_is_told(tmp_path: Path) -> None:
    log = tmp_path / "films.jsonl"
    log.write_text(
        '{"epoch": 1, "seconds": 2.0, "recall@20": 0.1, "ndcg@20": 0.3}\n'
        '{"epoch": 1, "length": 0.2, "popularity": -0.05, "recall@20": 0.4, "ndcg@20": 0.2}\n'
    )
    found = as_result(entry(epochs=1), best_on_test(log))
    powers = {"length_power": 0.2, "popularity_power": -0.05}
    assert (found["recall@20"], found["blend"]["popularity"]) == (0.4, powers)
    assert first_to_reach(log, 0.1) == {
        "epoch": 1,
        "seconds": 2.0,
        "recall@20": 0.1,
        "ndcg@20": 0.3,
    }
    assert first_to_reach(log, 0.2) is None


def test_one_seed_has_no_spread_and_what_some_seeds_lack_is_left_out() -> None:
    assert summarise([entry()])["films", "full", "validation"].spread["ndcg@20"] is None
    both = summarise([entry(validation=0.1), entry(seed=1, validation=None)])[
        "films", "full", "validation"
    ]
    assert "validation" not in both.mean


def test_the_test_selected_value_is_the_best_epoch_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "films.jsonl"
    log.write_text(
        '{"epoch": 1, "recall@20": 0.1, "ndcg@20": 0.3}\n'
        '{"epoch": 2, "recall@20": 0.4, "ndcg@20": 0.2}\n'
        '{"epoch": 3, "recall@20": 0.4, "ndcg@20": 0.1}\n'
    )
    found = as_result(entry(epochs=3), best_on_test(log))
    assert (found["selected_on"], found["epochs"], found["recall@20"], found["ndcg@20"]) == (
        "test",
        2,
        0.4,
        0.2,
    )
    assert found["commit"] == "abc"

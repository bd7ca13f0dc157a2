"""The benchmark of signals: what a variant keeps, the rule, and one small log from runs to the
page.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.accuracy.run import Place
from benchmarks.signals import outcome, page, run, variants
from benchmarks.signals.rule import rarest_first
from recsys.core.errors import UsageError

DATA = Path("folder")


def test_what_variants_keep() -> None:
    found = {
        name: variants.configuration("lastfm-hetrec", name, DATA)
        for name in variants.LOGS["lastfm-hetrec"].variants
    }
    graphs = {name: config.graph for name, config in found.items()}
    assert [one.name for one in graphs["heterogeneous"].relations] == ["friends", "tags"]
    assert len(graphs["heterogeneous"].knowledge) == 1
    assert not graphs["bipartite"].relations and not graphs["bipartite"].knowledge
    assert [one.name for one in graphs["alone-friends"].relations] == ["friends"]
    assert found["bipartite"].data == found["heterogeneous"].data
    assert graphs["heterogeneous"].relations[0].file == "folder/lastfm-hetrec/social.parquet"


@pytest.mark.parametrize("dataset", variants.LOGS)
def test_every_variant_is_a_configuration(dataset: str) -> None:
    for name in variants.log(dataset).variants:
        config = variants.configuration(dataset, name, DATA)
        assert (config.train.metric_k, config.evaluate.ks[0]) == (10, 10)


def test_behaviours_leave_and_items_met_are_hidden() -> None:
    plain = variants.configuration("tmall-mbcgcn", "discovery-bipartite", DATA)
    assert plain.graph.behavior_weights == {"view": 0.0, "cart": 0.0}
    assert plain.evaluate.seen_behaviors == ["buy", "view", "cart"]
    assert (
        variants.configuration("tmall-mbcgcn", "heterogeneous", DATA).evaluate.seen_behaviors
        is None
    )


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="Did you mean 'yelp-hin'"):
        variants.configuration("yelp-hinn", "bipartite", DATA)
    with pytest.raises(UsageError, match="has no variant 'alone-tags'"):
        variants.configuration("yelp-hin", "alone-tags", DATA)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A tiny shop under the name of a log with behaviours: what was viewed is bought next."""
    draw, rows, held = np.random.default_rng(0), [], []
    for user in range(40):
        viewed = draw.choice(np.arange(user % 2, 30, 2), 8, replace=False)
        rows += [(user, item, "view") for item in viewed] + [
            (user, item, "cart") for item in viewed[:2]
        ]
        rows += [(user, item, "buy") for item in viewed[2:7]]
        held.append((user, viewed[7] if user % 4 else (viewed[0] + 2) % 30, "buy"))
    folder = tmp_path / "data" / "tmall-mbcgcn"
    folder.mkdir(parents=True)
    for name, part in {"train": rows, "test": held}.items():
        frame = pl.DataFrame(part, schema=["user_id", "item_id", "behavior"], orient="row")
        frame.write_parquet(folder / f"{name}.parquet")
    for module, name in {run: "RUNS", outcome: "RUNS"}.items():
        monkeypatch.setattr(module, name, tmp_path / "runs.json")
    monkeypatch.setattr(run, "_CHOSEN_BEFORE", lambda *_: None)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    return Place(tmp_path / "data", tmp_path / "cache")


def test_from_runs_to_the_page(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variant in variants.LOGS["tmall-mbcgcn"].variants:
        entry = run.run("tmall-mbcgcn", variant, 0, place, threads=1)
        assert entry["row"] == variant
    path = tmp_path / "results.json"
    [row] = outcome.write(place, path)
    assert {"dataset", "bipartite", "heterogeneous", "interval", "config", "commit"} <= set(row)
    low, high = row["interval"]
    assert low <= row["heterogeneous"] - row["bipartite"] <= high
    held_out = run.final_phase("tmall-mbcgcn", "bipartite", place).judge.held_out_matrix
    assert row["pairs"]["met"]["pairs"] + row["pairs"]["new"]["pairs"] == held_out.nnz
    assert set(row["pairs"]) == {"met", "new", "new, of lists without items met"}
    known = outcome.read(path)
    monkeypatch.setattr(outcome, "read", lambda: known)
    text = page.write().read_text(encoding="utf-8")
    assert "tmall-mbcgcn" in text and "The rule: HR@10" in text


def test_the_rule_puts_the_rarest_first(place: Place) -> None:
    final = run.final_phase("tmall-mbcgcn", "heterogeneous", place)
    [scores] = rarest_first(final).score(np.array([0], np.int32))
    met = final.interactions.matrix(("view", "cart"))[0].indices
    rows = np.bincount(final.interactions.item)
    assert set(np.flatnonzero(scores)) == set(met)
    assert np.argmax(scores) in met[rows[met] == rows[met].min()]

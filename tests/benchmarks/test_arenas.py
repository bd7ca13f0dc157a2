"""The arenas: their logs, their counting, rows without refit, and their table."""

import importlib
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.accuracy.arenas import arenas, best_baseline, best_published
from benchmarks.accuracy.authors_counting import authors_metrics
from benchmarks.accuracy.data import SETS, checksums, configuration, load
from benchmarks.accuracy.epoch_log import EpochLog
from benchmarks.accuracy.experiment import score
from benchmarks.accuracy.foreign import pairs
from benchmarks.accuracy.lists import lists_on_test
from benchmarks.accuracy.meter import Meter
from benchmarks.accuracy.prepared import ordered_parts
from benchmarks.accuracy.published import published
from benchmarks.accuracy.results import summarise
from benchmarks.accuracy.rows import FOLDER, Row, _over, row, rows
from benchmarks.accuracy.trainings import shared_training
from recsys.core.config import RunConfig, build_config
from recsys.core.errors import UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.ranking import NO_ITEM
from recsys.core.tables import ITEM, TIME, USER
from recsys.fitting.fit import fit_phase
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits
from recsys.phases.phase import Phase
from recsys.train.loop import Trained
from recsys.train.probe import Settings

World = tuple[RunConfig, CodedLog, Splits]
SMALL = {"model": {"width": 8}, "train": {"epochs": 3, "patience": 3, "batch_size": 64}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Forty users who like items of their own parity, split at random."""
    pairs: list[tuple[str, str]] = []
    for user in range(40):
        for item in range(30):
            if (user + item) % 2 == 0 and user * item % 3:
                pairs.append((f"u{user}", f"i{item}"))
    folder = tmp_path / "filmtrust"
    folder.mkdir()
    table = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    table.write_parquet(folder / "interactions.parquet")
    config = configuration("filmtrust", tmp_path, SMALL).model_copy(update={"threads": 1})
    return config, *load(config, tmp_path / "cache")


class ByItem:
    """Scores every item by its internal id, the highest first."""

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def score(self, users: np.ndarray) -> np.ndarray:
        row_of_scores = np.arange(self.num_items, dtype=np.float32)
        return np.tile(row_of_scores, (len(users), 1))


# The order of a train file


def test_validation_comes_from_the_end_of_each_line_and_unknown_order_from_before_it() -> None:
    train = pl.DataFrame({"user_id": [7] * 5 + [3] * 3, "item_id": [5, 4, 3, 2, 1, 9, 8, 7]})
    order = pl.DataFrame(
        {
            "user_id": [7, 7, 7, 7, 3, 3, 3],
            "item_id": [1, 2, 4, 5, 8, 9, 7],
            "position": [2, 0, 3, 1, 0, 1, 2],
        }
    )
    test = pl.DataFrame({"user_id": [7, 3, 3], "item_id": [6, 1, 2]})
    parts = ordered_parts(train, order, test, 0.2)
    # Of five pairs one is held out, the last in the line; of three 0.6, which is one as well.
    assert parts["validation"].rows() == [(3, 7, 3), (7, 4, 4)]
    assert parts["train"].rows() == [
        (3, 8, 1),
        (3, 9, 2),
        (7, 3, 0),
        (7, 2, 1),
        (7, 5, 2),
        (7, 1, 3),
    ]
    assert parts["test"].rows() == [(7, 6, 5), (3, 1, 4), (3, 2, 4)]


def test_the_ordered_set_is_made_of_the_files_of_gowalla(tmp_path: Path) -> None:
    folder = tmp_path / "gowalla"
    folder.mkdir()
    pairs = [(user, item) for user in range(6) for item in range(12)]
    train = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    train.write_parquet(folder / "train.parquet")
    # The line of a user runs from the highest item to the lowest.
    order = train.with_columns(position=11 - pl.col("item_id")).filter(pl.col("item_id") != 5)
    order.write_parquet(folder / "order.parquet")
    test = pl.DataFrame({"user_id": range(6), "item_id": [12, 13] * 3})
    test.write_parquet(folder / "test.parquet")

    config = configuration("gowalla-order", tmp_path, {})
    assert set(checksums("gowalla-order", config)) == {
        "train.parquet",
        "order.parquet",
        "test.parquet",
    }
    log, splits = load(config, tmp_path / "cache" / "gowalla-order")
    held_out = log.items.external(splits.validation[ITEM].to_numpy())
    assert held_out == ["0"] * 6
    assert len(splits.train) == 66 and len(splits.test) == 6
    one_user = splits.train.filter(pl.col(USER) == 0).sort(TIME)
    assert log.items.external(one_user[ITEM].to_numpy()) == [
        "5", "11", "10", "9", "8", "7", "6", "4", "3", "2", "1",
    ]  # fmt: skip


def test_every_arena_has_a_set_a_row_and_a_goal_for_each_metric() -> None:
    known = published()["arena"]
    assert {arena["dataset"] for arena in known} <= set(row("arena").datasets) <= set(SETS)
    for arena in known:
        assert len(arena["goal"]) == len(arena["metrics"])
        for method in arena.get("method", []):
            assert len(method["values"]) == len(arena["metrics"]) and method["source"]


# Without refit


def test_lists_of_a_model_of_train_alone_hide_validation_and_are_in_the_ids_of_the_test(
    world: World,
) -> None:
    config, log, splits = world
    select, final = (Phase(name, log, splits, config) for name in ("select", "final"))
    scorer = ByItem(select.interactions.num_items)
    lists = lists_on_test(scorer, select, final, 5)
    seen = final.seen.toarray() > 0
    known = set(select.interactions.item_codes.tolist())
    for user, items in zip(final.judge.held_out_users, lists, strict=True):
        codes = final.interactions.item_codes
        candidates = [
            item
            for item in range(final.interactions.num_items)
            if not seen[user, item] and codes[item] in known
        ]
        assert items[items != NO_ITEM].tolist() == candidates[::-1][:5]


def test_lists_of_some_users_are_those_among_all(world: World) -> None:
    config, log, splits = world
    select, final = (Phase(name, log, splits, config) for name in ("select", "final"))
    scorer = ByItem(select.interactions.num_items)
    some = final.judge.held_out_users[3:9]
    whole = lists_on_test(scorer, select, final, 5)
    assert (lists_on_test(scorer, select, final, 5, some) == whole[3:9]).all()
    refitted = ByItem(final.interactions.num_items)
    assert (lists_on_test(refitted, final, final, 5) == final.judge.ranked(refitted, 5)).all()


def test_a_user_whom_train_does_not_know_gets_an_empty_list(world: World) -> None:
    config, log, splits = world
    first = splits.test[USER][0]
    without = Splits(
        train=splits.train.filter(pl.col(USER) != first),
        validation=pl.concat([splits.validation, splits.train.filter(pl.col(USER) == first)]),
        test=splits.test,
        after_train=splits.after_train,
        drops=splits.drops,
        cuts=splits.cuts,
        time_safe=splits.time_safe,
        method=splits.method,
    )
    select, final = (Phase(name, log, without, config) for name in ("select", "final"))
    lists = lists_on_test(ByItem(select.interactions.num_items), select, final, 5)
    codes = final.interactions.user_codes[final.judge.held_out_users]
    position = codes.tolist().index(first)
    assert (lists[position] == NO_ITEM).all()
    assert (lists[np.arange(len(lists)) != position] != NO_ITEM).any(axis=1).all()


def test_a_row_without_refit_tests_the_vectors_that_validation_chose(
    world: World, tmp_path: Path
) -> None:
    refitted = score(Row("one", "One", changes=SMALL), *world, tmp_path)
    trainings = sorted(path.name for path in (tmp_path / "trained").iterdir())
    plain = score(Row("two", "Two", changes=SMALL, refit=False), *world, tmp_path)
    assert sorted(path.name for path in (tmp_path / "trained").iterdir()) == trainings
    assert plain.facts["epochs"] == refitted.facts["epochs"]
    assert plain.facts["validation"] == refitted.facts["validation"]
    assert (plain.ranking.users == refitted.ranking.users).all()
    assert (plain.ranked != refitted.ranked).any()
    # The choice and the training of "two" are those of "one", without the refit.
    assert plain.facts["cpu_seconds"] <= refitted.facts["cpu_seconds"] + 1.0


def test_a_baseline_without_refit_is_fitted_on_train_alone(world: World, tmp_path: Path) -> None:
    config, log, splits = world
    found = score(Row("pop", "Pop", baseline="popularity", refit=False), *world, tmp_path)
    select, final = (Phase(name, log, splits, config) for name in ("select", "final"))
    counts = select.interactions.popularity()
    names = select.interactions.items.external(np.arange(len(counts)))
    popularity = dict(zip(names, counts.tolist(), strict=True))
    for items in found.ranked:
        listed = final.interactions.items.external(items[items != NO_ITEM])
        values = [popularity[name] for name in listed]
        assert values == sorted(values, reverse=True)


def test_a_log_of_test_metrics_needs_a_refit(world: World, tmp_path: Path) -> None:
    log = EpochLog(tmp_path / "log.jsonl")
    with pytest.raises(UsageError, match="'two' has none") as told:
        score(Row("two", "Two", changes=SMALL, refit=False), *world, tmp_path, epoch_log=log)
    assert "refit = true" in told.value.remedy
    score(Row("two", "Two", changes=SMALL, refit=True), *world, tmp_path, epoch_log=log)


def test_a_training_is_shared_only_where_the_same_was_settled(world: World, tmp_path: Path) -> None:
    config, log, splits = world
    phase = Phase("final", log, splits, config)
    temperatures: list[float] = []

    def vectors_at(temperature: float) -> np.ndarray:
        settings = Settings(temperature=temperature)

        def fit() -> tuple[Trained, dict[str, Any]]:
            temperatures.append(temperature)
            model = config.model
            return fit_phase(phase, phase.graph, model, epochs=1, settings=settings), {}

        meter = Meter()
        vectors = shared_training(tmp_path, phase, 1, fit, meter, settings.document())
        return vectors.embeddings.items

    first = vectors_at(0.1)
    assert (vectors_at(0.5) != first).any()
    assert (vectors_at(0.1) == first).all()
    assert temperatures == [0.1, 0.5]


def test_a_row_takes_over_the_keys_of_the_one_it_is_like() -> None:
    alone, whole = row("arena-train-only"), row("arena")
    assert (alone.refit, whole.refit) == (False, True)
    assert (alone.changes, alone.on, alone.seeds) == (whole.changes, whole.on, whole.seeds)
    base = {"title": "Base", "on": {"films": {"train": {"lr": 0.1, "epochs": 3}}}}
    changes = {"title": "Other", "on": {"films": {"train": {"lr": 0.2}}}}
    assert _over(base, changes) == {
        "title": "Other",
        "on": {"films": {"train": {"lr": 0.2, "epochs": 3}}},
    }
    assert base["on"] == {"films": {"train": {"lr": 0.1, "epochs": 3}}}


# The counting of TopKGAT's authors


def interactions_of(pairs: list[tuple[str, str]]) -> Interactions:
    table = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    users = IdMap(table["user"].unique().sort(), "user")
    items = IdMap(table["item"].unique().sort(), "item")
    coded = pl.DataFrame(
        {
            USER: users.lookup(table["user"].to_list()),
            ITEM: items.lookup(table["item"].to_list()),
        },
        schema={USER: pl.Int32, ITEM: pl.Int32},
    )
    return fit_interactions(coded, users, items, ("interaction",))


def test_repeated_and_unreachable_test_rows_count_as_the_authors_count_them(tmp_path: Path) -> None:
    learned = interactions_of([("1", "10"), ("1", "20"), ("2", "30"), ("2", "40"), ("3", "50")])
    test = [(1, 30), (1, 30), (1, 10), (2, 50), (3, 50), (9, 10)]
    path = tmp_path / "test.parquet"
    pl.DataFrame(test, schema=["user_id", "item_id"], orient="row").write_parquet(path)
    config = build_config({"data": {"train": "train.parquet", "test": str(path)}})

    # User 1 has item 30 at rank 2, user 2 misses item 50; users 3 and 9 have no list.
    users = np.array([0, 1], np.int32)
    lists = np.full((2, 20), NO_ITEM, np.int32)
    lists[0, :2] = learned.items.lookup(["40", "30"])
    lists[1, :2] = learned.items.lookup(["10", "20"])
    found = authors_metrics(config, learned, users, lists)
    ideal = 1 + 1 / log2(3) + 1 / log2(4)
    assert found["authors_recall@20"] == round(1 / 3 / 4, 5)
    assert found["authors_ndcg@20"] == round(1 / log2(3) / ideal / 4, 5)


def test_a_long_history_of_test_rows_is_divided_by_twenty(tmp_path: Path) -> None:
    pairs = [("1", f"{item}") for item in range(100, 130)]
    learned = interactions_of([*pairs, ("2", "5")])
    path = tmp_path / "test.parquet"
    table = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    table.cast(pl.Int32).write_parquet(path)
    config = build_config({"data": {"train": "train.parquet", "test": str(path)}})
    lists = learned.items.lookup([f"{item}" for item in range(100, 120)])[None]
    found = authors_metrics(config, learned, np.array([0], np.int32), lists)
    assert found == {"authors_recall@20": 1.0, "authors_ndcg@20": 1.0}


# The table


def entry(row_name: str, seed: int, recall: float, ndcg: float) -> dict[str, Any]:
    return {
        "dataset": "gowalla-iid",
        "row": row_name,
        "seed": seed,
        "selected_on": "validation",
        "recall@20": recall,
        "ndcg@20": ndcg,
    }


ARENA: dict[str, Any] = {
    "dataset": "gowalla-iid",
    "title": "Gowalla at random",
    "metrics": ["recall@20", "ndcg@20"],
    "goal": [0.222, 0.18],
    "method": [
        {"name": "First", "source": "a paper", "values": [0.21, 0.17]},
        {"name": "Second", "source": "a paper", "values": [0.2, 0.171]},
    ],
}


def test_an_arena_shows_ours_with_and_without_refit_beside_the_best() -> None:
    def compared(other: str, value: float, metric: str = "ndcg@20") -> dict[str, Any]:
        names = {"dataset": "gowalla-iid", "row": "arena", "other": other, "metric": metric}
        return {**names, "value": 0.18, "other_value": value, "low": 0.01, "high": 0.03}

    results = [
        entry("arena", 0, 0.22, 0.18),
        entry("arena", 1, 0.24, 0.18),
        entry("arena-train-only", 0, 0.2, 0.16),
    ]
    comparisons = [
        compared("gfcf", 0.15),
        compared("itemknn", 0.16),
        compared("gfcf", 0.9, "recall@20"),
        compared("arena-gamma0", 0.99),
    ]
    text = arenas(summarise(results), comparisons, {"arena": [ARENA]}, rows())
    assert (
        "| Gowalla at random | Recall@20 / NDCG@20 | .2100 / .1710 (First; Second) | .2000 / .1600 (1 seed) "
        "| .2300 ± .0141 / .1800 ± .0000 (2 seeds) | ItemKNN, .1600 | +.0100 to +.0300 | .2220 / .1800 |"
    ) in text


def test_an_arena_that_was_not_run_is_shown_with_its_goal() -> None:
    text = arenas({}, [], {"arena": [ARENA]}, rows())
    assert (
        "| Gowalla at random | Recall@20 / NDCG@20 | .2100 / .1710 (First; Second) | not measured "
        "| not measured |  |  | .2220 / .1800 |"
    ) in text
    elsewhere = ARENA | {"dataset": "ml-100k", "method": []}
    assert best_published(elsewhere) == ""
    text = arenas({}, [], {"arena": [elsewhere]}, rows())
    assert "| Gowalla at random | Recall@20 / NDCG@20 |  |  | not measured |" in text
    assert arenas({}, [], {}, rows()) == ""


def test_one_method_that_is_best_in_all_metrics_is_named_once() -> None:
    third = {"name": "Third", "source": "a paper", "values": [0.3, 0.2]}
    assert best_published(ARENA | {"method": [*ARENA["method"], third]}) == ".3000 / .2000 (Third)"


# Peers that learn from order


def test_a_peer_is_told_the_place_of_every_pair_in_its_history() -> None:
    rows = [("a", "x", 30), ("a", "y", 10), ("a", "x", 5), ("b", "y", 7), ("a", "z", 20)]
    table = pl.DataFrame(rows, schema=["user", "item", TIME], orient="row")
    users = IdMap(pl.Series(["a", "b"]), "user")
    items = IdMap(pl.Series(["x", "y", "z"]), "item")
    coded = table.select(
        pl.Series(USER, users.lookup(table["user"].to_list()), pl.Int32),
        pl.Series(ITEM, items.lookup(table["item"].to_list()), pl.Int32),
        TIME,
    )
    learned = fit_interactions(coded, users, items, ("interaction",))
    # The pair a–x was first at moment 5.
    assert pairs(learned, "interaction").rows() == [
        ("a", "x", 0),
        ("a", "y", 1),
        ("a", "z", 2),
        ("b", "y", 0),
    ]


def test_a_script_reads_histories_from_the_earliest_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER / "peers")
    peer = importlib.import_module("peer")
    rows = [("b", "x", 1), ("a", "y", 0), ("b", "y", 0), ("a", "x", 1)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "position"], orient="row")
    table.write_parquet(tmp_path / "train.parquet")
    found = peer.read(tmp_path / "train.parquet")
    assert found.history.tolist() == [[0, 1], [0, 0], [1, 1], [1, 0]]
    table.drop("position").write_parquet(tmp_path / "without.parquet")
    assert peer.read(tmp_path / "without.parquet").history is None

    def rank(users: np.ndarray) -> np.ndarray:
        return np.array([[1, -1]] * len(users))

    peer.write(tmp_path / "lists.parquet", found, peer.Fitted(rank, {}))
    assert pl.read_parquet(tmp_path / "lists.parquet").rows() == [("a", "y", 1), ("b", "y", 1)]


def test_a_peer_counts_among_the_best_beside_ours() -> None:
    entries = []
    for name, value in (("gfcf", 0.15), ("peer:rectools-sasrec", 0.17)):
        names = {"dataset": "gowalla-iid", "row": "arena", "other": name, "metric": "ndcg@20"}
        entries.append({**names, "value": 0.18, "other_value": value, "low": 0.0, "high": 0.1})
    best = best_baseline(ARENA, entries, rows())
    assert best is not None and best["other"] == "peer:rectools-sasrec"

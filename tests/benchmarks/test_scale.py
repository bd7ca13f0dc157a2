"""The planted log: what is drawn is what was asked for, and nothing beats who knows the truth."""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.planted import (
    START,
    TOPICS,
    TOPICS_OF_A_USER,
    YEAR_SECONDS,
    Oracle,
    Truth,
    draw_log,
    draw_truth,
    shape_of,
)
from benchmarks.scale import Meter, figures, growth_exponent, main, prepare, train
from recsys.core.errors import UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.train.checkpoint import EpochRecord

USERS, ITEMS, ROWS = 400, 2_050, 200_000


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(USERS, ITEMS, seed=1)


@pytest.fixture(scope="module")
def log(truth: Truth) -> pl.DataFrame:
    return draw_log(truth, ROWS, seed=1)


def test_users_follow_three_topics_and_items_share_out_evenly(truth: Truth) -> None:
    assert truth.user_topics.shape == (USERS, TOPICS_OF_A_USER)
    different = [len(set(topics)) for topics in truth.user_topics.tolist()]
    assert set(different) == {TOPICS_OF_A_USER}
    assert truth.user_topics.min() >= 0 and truth.user_topics.max() < TOPICS
    sizes = np.bincount(truth.item_topic, minlength=TOPICS)
    assert set(sizes.tolist()) == {10, 11}


def test_appeal_is_zipf_within_a_topic(truth: Truth) -> None:
    for topic in (0, 77, TOPICS - 1):
        appeal = np.sort(truth.appeal[truth.item_topic == topic])[::-1]
        ranks = np.arange(1, len(appeal) + 1)
        assert appeal == pytest.approx(1 / ranks / (1 / ranks).sum())


def test_rows_stay_within_the_topics_of_their_user_and_within_a_year(
    truth: Truth, log: pl.DataFrame
) -> None:
    assert len(log) == ROWS
    topics = truth.item_topic[log[ITEM_ID].to_numpy()]
    allowed = truth.user_topics[log[USER_ID].to_numpy()]
    assert (topics[:, None] == allowed).any(axis=1).all()
    assert log[TIME].min() >= START and log[TIME].max() < START + YEAR_SECONDS


def test_counts_fall_with_the_rank_by_zipfs_law(truth: Truth, log: pl.DataFrame) -> None:
    counts = np.bincount(log[ITEM_ID].to_numpy(), minlength=ITEMS)
    by_rank = np.zeros(10)
    for topic in range(TOPICS):
        of_topic = truth.item_topic == topic
        order = np.argsort(-truth.appeal[of_topic])
        by_rank += counts[of_topic][order][:10]
    slope = np.polyfit(np.log(np.arange(1, 11)), np.log(by_rank), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.02)


def test_activity_is_log_normal(log: pl.DataFrame) -> None:
    counts = np.bincount(log[USER_ID].to_numpy(), minlength=USERS)
    logarithms = np.log(counts[counts > 0])
    assert logarithms.std() == pytest.approx(1.0, abs=0.1)
    assert np.median(logarithms) == pytest.approx(logarithms.mean(), abs=0.15)


def test_the_same_seed_draws_the_same_log(truth: Truth, log: pl.DataFrame) -> None:
    again = draw_truth(USERS, ITEMS, seed=1)
    assert (again.user_topics == truth.user_topics).all() and (again.appeal == truth.appeal).all()
    assert draw_log(again, ROWS, seed=1).equals(log)
    assert not draw_log(again, ROWS, seed=2).equals(log)


def test_the_oracle_knows_the_chance_of_every_pair(truth: Truth, log: pl.DataFrame) -> None:
    users = IdMap(pl.Series([str(user) for user in range(USERS)]).sort(), "user")
    items = IdMap(pl.Series([str(item) for item in range(ITEMS)]).sort(), "item")
    user_codes = users.lookup([str(user) for user in log[USER_ID].to_list()])
    item_codes = items.lookup([str(item) for item in log[ITEM_ID].to_list()])
    coded = pl.DataFrame({USER: user_codes, ITEM: item_codes})
    interactions = fit_interactions(coded, users, items, ("interaction",))
    oracle = Oracle(truth, interactions)

    active = np.argsort(-np.bincount(interactions.user))[:20].astype(np.int32)
    scores = oracle.score(active)
    assert scores.sum(axis=1) == pytest.approx(np.full(20, TOPICS_OF_A_USER), rel=1e-4)
    for user, chances in zip(active, scores / TOPICS_OF_A_USER, strict=True):
        own = interactions.item[interactions.user == user]
        shares = np.bincount(own, minlength=interactions.num_items) / len(own)
        # A share of n draws is off by its standard error, seldom by five of them.
        error = np.sqrt(chances * (1 - chances) / len(own))
        assert (np.abs(shares - chances) <= 5 * error + 1e-9).all()


def test_a_truth_comes_back_from_its_file(truth: Truth, tmp_path: Path) -> None:
    truth.save(tmp_path / "truth.npz")
    again = Truth.load(tmp_path / "truth.npz")
    assert (again.user_topics == truth.user_topics).all()
    assert (again.item_topic == truth.item_topic).all() and (again.appeal == truth.appeal).all()


def test_too_few_items_are_told_with_a_number_that_does() -> None:
    with pytest.raises(UsageError, match="199 items") as told:
        draw_truth(10, TOPICS - 1)
    assert str(TOPICS) in told.value.remedy
    draw_truth(10, TOPICS)


def test_growth_is_the_exponent_of_the_power_law() -> None:
    rows = [100_000, 1_000_000, 20_000_000]
    assert growth_exponent(rows, [3e-5 * count**1.25 for count in rows]) == 1.25
    entries = {
        str(count): {"cpu_seconds_to_best": 2.0 * count, "cpu_seconds_an_epoch": count**0.5}
        for count in rows
    }
    found = figures(entries)
    assert (found["growth_exponent_to_best"], found["growth_exponent_an_epoch"]) == (1.0, 0.5)
    assert figures({"100000": entries["100000"]}) == {"sizes": {"100000": entries["100000"]}}


def test_five_million_rows_have_the_users_and_items_that_were_asked_for() -> None:
    assert shape_of(5_000_000) == (200_000, 50_000)
    assert shape_of(20_000_000) == (800_000, 100_000)


def test_a_small_size_is_measured_and_nothing_beats_the_oracle(tmp_path: Path) -> None:
    arguments = argparse.Namespace(
        rows=[6_000],
        users=300,
        items=600,
        seed=0,
        threads=1,
        set=["train.epochs=2", "model.width=16"],
        folder=str(tmp_path),
    )
    ingested = prepare(arguments)
    found = train(arguments)
    assert 0 < found["pairs"] < ingested["rows_kept"] < 6_000
    assert (found["epochs"], found["config"]["model"]) == (2, {"width": 16})
    assert 0 < found["cpu_seconds_to_best"] <= found["cpu_seconds"] and found["peak_mb"] > 0
    values = found["ndcg@10"]
    assert values["popularity"] < values["model"] < values["oracle"]
    pairs = pl.read_parquet(tmp_path / "pairs.parquet")
    assert len(pairs.unique()) == len(pairs) == found["pairs"]

    # What was measured is not measured again.
    assert prepare(arguments) == ingested
    again = train(arguments)
    assert again["cpu_seconds"] == found["cpu_seconds"] and again["ndcg@10"] == values


def test_a_break_costs_an_epoch_that_was_come_to_no_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(meter: Meter, *seconds: tuple[int, float]) -> list[float]:
        for epoch, moment in seconds:
            monkeypatch.setattr("time.process_time", lambda moment=moment: moment)
            meter.note(EpochRecord(epoch, loss=1.0, seconds=1.0))
        return meter.spent

    file = tmp_path / "spent.json"
    monkeypatch.setattr("time.process_time", lambda: 2.0)
    assert noted(Meter(file), (1, 12.0), (2, 17.0)) == [10.0, 15.0]
    # Its checkpoint was of the first epoch: the second is trained again, which takes 6 seconds.
    monkeypatch.setattr("time.process_time", lambda: 1.0)
    assert noted(Meter(file), (1, 4.0), (2, 10.0), (3, 17.0)) == [10.0, 15.0, 22.0]


def test_a_folder_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1000").mkdir()
    (tmp_path / "1000" / "made_with.json").write_text("[null, null, 1, []]")
    monkeypatch.setattr("sys.argv", ["scale", "--rows", "1000", "--work", str(tmp_path)])
    with pytest.raises(UsageError, match="is of"):
        main()


def test_users_and_items_go_with_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["scale", "--rows", "1000", "2000", "--users", "50"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(UsageError, match="of one size"):
        main()

"""Held-out rows in Python count as they do for `recsys evaluate`."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from recsys import GraphRecommender
from recsys.core.errors import DataError
from recsys.evaluate.held_out_rows import read_held_out_rows
from recsys.evaluate.metrics import rank_metrics
from recsys.logs.published_split import OTHER_HELD
from recsys.logs.reasons import RATING_LOW
from recsys.logs.split import KNOWN_TEST
from recsys.logs.synthetic import communities

SMALL = {"width": 8, "heads": 2, "epochs": 1, "early_stopping": False, "threads": 1}
SHOP = communities(
    num_users=40, num_items=30, events_per_user=14, behaviors=("view", "buy"), seed=9
).log


def parts() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The earlier rows, one of each event; the later ones with repeats and ids of nobody."""
    log = SHOP.sort("timestamp", "user_id", "item_id")
    cut = len(log) * 3 // 4
    train = log[:cut].unique(["user_id", "item_id", "behavior"], keep="first", maintain_order=True)
    nobody = log[-6:].with_columns(pl.lit("nobody").alias("user_id"))
    nothing = log[-4:].with_columns(pl.lit("nothing").alias("item_id"))
    return train, pl.concat([log[cut:], log[-5:], nobody, nothing])


@pytest.fixture(scope="module")
def fitted() -> GraphRecommender:
    return GraphRecommender(**SMALL, target="buy", min_rating=2).fit(parts()[0])


def test_what_does_not_count_changes_nothing_and_is_counted(fitted: GraphRecommender) -> None:
    train, test = parts()
    found = fitted.evaluate(test, ks=(5,))
    learnt = train.filter(pl.col("behavior") == "buy", pl.col("rating") >= 2)
    counted = (
        test.filter(pl.col("behavior") == "buy", pl.col("rating") >= 2)
        .join(learnt, on=["user_id", "item_id"], how="anti")
        .filter(pl.col("user_id") != "nobody", pl.col("item_id") != "nothing")
        .unique(["user_id", "item_id"])
    )
    again = fitted.evaluate(counted, ks=(5,))
    for name in ("recall@5", "ndcg@5", "mrr@5", "users"):
        assert found[name] == pytest.approx(again[name]), name
    assert found["dropped"] == sum(found["drops"].values())
    assert found["drops"][OTHER_HELD] > 0 and found["drops"][KNOWN_TEST] > 0
    assert found["drops"]["cold user"] > 0 and found["drops"][RATING_LOW] > 0
    assert len(test) - found["dropped"] == len(counted) - again["dropped"]


def test_metrics_by_the_lists_that_are_recommended(fitted: GraphRecommender) -> None:
    _, test = parts()
    bundle = fitted.lookup_.bundle
    found = fitted.evaluate(test, ks=(4,))
    config = fitted.configuration()
    rows = read_held_out_rows(bundle, test, config.data, config.clean)
    users = np.flatnonzero(np.diff(rows.held_out.indptr)).astype(np.int32)
    lists = np.full((len(users), 4), -1, np.int32)
    table = fitted.recommend(bundle.users.external(users), k=4)
    for row, user in enumerate(bundle.users.external(users)):
        items = table.filter(pl.col("user_id") == user)["item_id"].to_list()
        lists[row, : len(items)] = bundle.items.lookup(items)
    by_hand = rank_metrics(lists, users, rows.held_out, (4,)).overall
    assert found["ndcg@4"] == pytest.approx(by_hand["ndcg@4"])


def test_the_command_counts_the_same_rows(fitted: GraphRecommender, tmp_path: Path) -> None:
    train, test = parts()
    clean = train.filter(pl.col("rating") >= 2)
    clean.write_parquet(tmp_path / "train.parquet")
    test.write_parquet(tmp_path / "test.parquet")
    args = ["evaluate", "--train", str(tmp_path / "train.parquet"), "--test"]
    args += [str(tmp_path / "test.parquet"), "--model", "popularity", "--json", "--k", "5"]
    args += ["--set", "clean.min_rating=2", "--set", "graph.target=buy"]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    found = fitted.evaluate(test, ks=(5,))
    assert document["users"] == found["users"]
    assert document["dropped"] == found["drops"]


def test_columns_but_the_ids_may_be_missing(fitted: GraphRecommender) -> None:
    train, test = parts()
    plain = GraphRecommender(
        **SMALL, time_col="timestamp", behavior_col="behavior", weight_col="weight", target="buy"
    ).fit(train.drop("rating"))
    buys = test.filter(pl.col("behavior") == "buy")
    whole = plain.evaluate(buys, ks=(5,))
    assert plain.evaluate(buys.select("user_id", "item_id"), ks=(5,)) == whole


def test_a_log_of_one_behaviour_asks_for_none() -> None:
    train, test = parts()
    rows = train.select("user_id", "item_id")
    one = GraphRecommender(**SMALL).fit(rows)
    assert one.evaluate(test, ks=(5,)) == one.evaluate(test.drop("behavior"), ks=(5,))


def test_rows_that_do_not_count_at_all_are_refused_by_reason(fitted: GraphRecommender) -> None:
    train, test = parts()
    learnt = train.filter(pl.col("behavior") == "buy", pl.col("rating") >= 2)
    with pytest.raises(
        DataError, match=r"no test row counts: dropped .*already in train.*not in it"
    ):
        fitted.evaluate(learnt)
    assert fitted.evaluate(pl.concat([learnt, test]))["users"] > 0

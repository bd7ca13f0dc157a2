"""What is proposed for a log beyond its columns: split, target, cleaning, and what lies beside it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recsys.core.config import build_config
from recsys.logs.proposal import Proposal, propose
from recsys.logs.synthetic import DAY, START, communities

WORLD = communities(num_users=400, num_items=60, events_per_user=12)


@pytest.fixture
def log(tmp_path):
    """Write a table as a log, and propose for it."""

    def proposed(table: pl.DataFrame, name: str = "log.parquet", **named: str) -> Proposal:
        path = tmp_path / name
        table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)
        return propose(str(path), named)

    return proposed


def values(proposal: Proposal) -> dict[str, object]:
    build_config(proposal.values())  # what is proposed is a configuration
    return {choice.key: choice.value for choice in proposal.choices}


def asked(proposal: Proposal) -> set[str]:
    return {choice.key for choice in proposal.questions}


def test_a_good_log(log):
    proposal = log(WORLD.log)
    found = values(proposal)
    assert found["data.user_col"] == "user_id" and found["data.time_col"] == "timestamp"
    assert found["split.method"] == "global_time"
    # Of ratings and of weights alone only the ratings raise a question; "weight" says what it is.
    assert asked(proposal) == {"clean.min_rating"} and found["clean.min_rating"] is None
    assert found["data.weight_col"] == "weight"
    assert proposal.is_whole and proposal.unused == []


def test_short_histories_that_end_are_not_cut_at_one_moment(log):
    # Users come one after the other: of none is known what follows a cut, but for a few.
    user = np.repeat(np.arange(400), 10)
    time = START + DAY * user + np.tile(np.arange(10), 400)
    table = pl.DataFrame({"user": user, "item": np.arange(4000) % 97, "time": time})
    found = values(log(table))
    assert found["split.method"] == "last_share" and found["split.test_share"] == 0.2


def test_without_times_and_with_an_order(log):
    pairs = WORLD.log.select("user_id", "item_id")
    assert values(log(pairs))["split.method"] == "random"
    ordered = pairs.with_columns(position=pl.int_range(pl.len()).over("user_id"))
    found = values(log(ordered))
    assert (found["data.time_col"], found["split.method"]) == ("position", "leave_last")


def test_the_behaviour_worth_predicting(log):
    world = communities(num_users=400, behaviors=("view", "buy"))
    assert values(log(world.log))["graph.target"] == "buy"
    renamed = world.log.with_columns(pl.col("behavior").replace({"view": "red", "buy": "blue"}))
    proposal = log(renamed)
    assert values(proposal)["graph.target"] == "blue" and "graph.target" in asked(proposal)
    [choice] = [choice for choice in proposal.questions if choice.key == "graph.target"]
    assert set(choice.options) == {"red", "blue"}


def test_what_speaks_against_an_item_gets_no_weight(log):
    kinds = pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("return")).otherwise(pl.lit("buy"))
    found = values(log(WORLD.log.with_columns(behavior=kinds)))
    assert found["graph.target"] == "buy" and found["graph.behavior_weights"] == {"return": 0.0}


def test_repeats_are_summed_and_rare_users_left_out(log):
    twice = pl.concat([WORLD.log, WORLD.log])
    assert values(log(twice))["clean.duplicates"] == "sum"
    singles = WORLD.log.with_columns(
        user_id=pl.when(pl.int_range(pl.len()) % 10 == 0)
        .then(pl.format("s{}", pl.int_range(pl.len())))
        .otherwise("user_id")
    )
    assert values(log(singles))["clean.min_user_interactions"] == 2


def test_rows_without_a_time_are_asked_about(log):
    some = WORLD.log.with_columns(
        timestamp=pl.when(pl.int_range(pl.len()) % 3 > 0).then("timestamp")
    )
    proposal = log(some)
    assert "data.time_col" in asked(proposal)
    assert [choice.key for choice in proposal.choices].count("data.time_col") == 1
    assert values(proposal)["data.time_col"] == "" and values(proposal)["split.method"] == "random"

    def keep(choice):
        is_time = choice.key == "data.time_col"
        return replace(choice, value="timestamp", question="") if is_time else choice

    path = str(proposal.choices[0].value)
    answered = values(propose(path, {}, keep))
    assert answered["data.time_col"] == "timestamp"
    assert answered["split.method"] == "global_time"


def test_a_file_without_names(log, tmp_path):
    path = tmp_path / "u.data"
    rows = [
        "\t".join(row) for row in [("1", "24", "3", "881250949"), ("2", "30", "4", "891717742")]
    ]
    more = [f"{row % 7}\t{row % 13}\t{1 + row % 5}\t{880000000 + 1000 * row}" for row in range(200)]
    path.write_text("\n".join([*rows, *more]) + "\n", encoding="utf-8")
    proposal = propose(str(path), {})
    found = values(proposal)
    assert found["data.columns"] == ["column_1", "column_2", "column_3", "column_4"]
    assert {"data.columns", "data.user_col", "data.item_col", "data.time_col"} <= asked(proposal)
    assert found["data.time_col"] == "column_4"
    assert proposal.check.rows_read == 202


def test_dates_of_a_spreadsheet_keep_their_unit_and_are_asked_about(log):
    table = WORLD.log.select("user_id", "item_id").with_columns(
        timestamp=45244.5 + pl.int_range(pl.len()) / 10
    )
    proposal = log(table, "log.csv")
    assert values(proposal)["data.time_unit"] == "excel" and "data.time_unit" in asked(proposal)


def test_lines_that_do_not_fit_are_counted_and_asked_about(tmp_path):
    path = tmp_path / "log.csv"
    WORLD.log.write_csv(path)
    with path.open("a", encoding="utf-8") as file:
        file.write("u1,i1\n")
    proposal = propose(str(path), {})
    assert values(proposal)["data.broken_lines"] == "count"
    assert "data.broken_lines" in asked(proposal)


def test_a_column_that_is_empty_is_asked_about(log):
    proposal = log(WORLD.log.with_columns(timestamp=pl.lit(None, pl.Int64)))
    assert values(proposal)["data.time_col"] == "" and "data.time_col" in asked(proposal)


def test_a_log_of_one_row_each_is_asked_about(log):
    table = WORLD.log.with_columns(user_id=pl.format("v{}", pl.int_range(pl.len())))
    assert {"clean.min_user_interactions", "split.method"} <= asked(log(table))


# --- what lies beside
# ---------------------------------------------------------------------------------------------


def test_tables_beside_the_log(log, tmp_path):
    WORLD.items.write_parquet(tmp_path / "items.parquet")
    WORLD.users.write_csv(tmp_path / "people.csv")
    WORLD.items.select("item_id", "genres").explode("genres").write_csv(tmp_path / "item_tags.csv")
    friends = WORLD.users.select("user_id", friend_id=pl.col("user_id").shift(1).fill_null("u0"))
    pl.concat(
        [friends, friends.with_columns(friend_id=pl.col("friend_id").shift(2).fill_null("u1"))]
    ).write_csv(tmp_path / "social.csv")
    (tmp_path / "notes.txt").write_text("nothing of this\n", encoding="utf-8")
    pl.DataFrame({"item_id": ["x", "y"], "title": ["a", "b"]}).write_csv(
        tmp_path / "other_items.csv"
    )
    proposal = log(WORLD.log)
    found = values(proposal)
    assert str(found["data.items"]).endswith("items.parquet") and found["data.title_col"] == "title"
    assert str(found["data.users"]).endswith("people.csv")
    tables = proposal.values()["graph"]
    assert tables["attributes"] == [{"column": "genres"}, {"side": "user", "column": "country"}]
    ends = {entry["name"]: entry["between"] for entry in tables["relations"]}
    assert ends == {"item_tags": ["item", "genres"], "social": ["user", "user"]}


def test_a_table_with_other_ids_is_left_alone(log, tmp_path):
    WORLD.items.with_columns(pl.format("0{}", "item_id").alias("item_id")).write_parquet(
        tmp_path / "items.parquet"
    )
    assert "data.items" not in values(log(WORLD.log))


def test_a_published_split_is_kept(log, tmp_path):
    WORLD.log.tail(300).write_parquet(tmp_path / "test.parquet")
    WORLD.log.head(300).write_parquet(tmp_path / "valid.parquet")
    found = values(log(WORLD.log.slice(300, 4000), "train.parquet"))
    names = [str(found[f"data.{part}"]).rsplit("/")[-1] for part in ("train", "validation", "test")]
    assert names == ["train.parquet", "valid.parquet", "test.parquet"]
    assert found["split.method"] == "given" and "data.log" not in found

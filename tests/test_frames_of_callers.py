"""Frames and values as callers have them: an answer, or an error that names the column."""

import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from recsys import GraphRecommender
from recsys.core.errors import DataError, UsageError
from recsys.logs.frames import FrameStyle, ids_of, to_polars

SMALL = {"width": 8, "heads": 2, "epochs": 1, "early_stopping": False, "threads": 1}
USERS = [3, 5, 8, 13, 21, 34]
ITEMS = [100, 200, 300, 400, 500]


def small_log() -> pd.DataFrame:
    """Each user takes three of five items."""
    rows = []
    for place, user in enumerate(USERS):
        for step in range(3):
            rows.append((user, ITEMS[(place + step) % 5]))
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


def float_log() -> pd.DataFrame:
    """The same where a missing id made both columns floats."""
    log = small_log().astype(float)
    gap = pd.DataFrame({"user_id": [np.nan], "item_id": [np.nan]})
    return pd.concat([log, gap], ignore_index=True)


@pytest.fixture(scope="module")
def of_floats() -> GraphRecommender:
    return GraphRecommender(**SMALL).fit(float_log())


# --- ids that pandas turned into floats


def test_float_ids_are_those_that_the_caller_has(of_floats: GraphRecommender) -> None:
    log = float_log().dropna()
    table = of_floats.recommend(log["user_id"].unique(), k=2)
    assert table["user_id"].tolist() == [user for user in USERS for _ in range(2)]
    assert set(table["item_id"]) <= set(ITEMS)
    assert of_floats.similar_items(log["item_id"].iloc[0], k=2)["item_id"].tolist() == [100, 100]
    similar = of_floats.similar_users(5.0, k=3)
    assert similar["user_id"].tolist() == [5, 5, 5] and set(similar["similar_user_id"]) <= set(
        USERS
    )


def test_float_ids_in_every_other_place(of_floats: GraphRecommender) -> None:
    everything = float_log()["item_id"].dropna().unique()
    assert of_floats.recommend([3.0], k=5, deny=everything).empty
    only = of_floats.recommend(np.float64(3), k=5, allow=everything[3:], exclude_seen=False)
    assert sorted(only["item_id"]) == [400, 500]
    history = of_floats.recommend_history([100.0, 200.0], k=5)
    assert not {100, 200} & set(history["item_id"])
    np.testing.assert_allclose(of_floats.fold_in([100.0]), of_floats.fold_in(["100"]))
    assert of_floats.explain(3.0, 400.0)["score"] == of_floats.explain("3", "400")["score"]
    new = of_floats.recommend([3.0], k=5, histories=[[400.0]])
    assert 400 not in set(new["item_id"])
    unseen = pd.DataFrame({"user_id": [3.0, 5.0], "item_id": [400.0, 500.0]})
    assert of_floats.evaluate(unseen, ks=2)["users"] == 2


# --- columns of every type


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series(USERS, dtype="Int64"),
        pd.Series([str(user) for user in USERS], dtype="string"),
        pd.Series([str(user) for user in USERS], dtype="category"),
        pd.Series([f"u{user}" for user in USERS], dtype=object),
        pd.Series([user if user % 2 else str(user) for user in USERS], dtype=object),
        pd.Series([user if user % 2 else f"A{user}" for user in USERS], dtype=object),
        pd.Series([uuid.UUID(int=user) for user in USERS], dtype=object),
        pd.Series([Decimal(user) for user in USERS], dtype=object),
        pd.Series([np.int32(user) for user in USERS], dtype=object),
        pd.Series([f"u{user}".encode() for user in USERS], dtype=object),
        pd.Series([user / 2 for user in USERS]),
    ],
    ids=lambda series: f"{series.dtype} {series.iloc[0]!r}",
)
def test_ids_of_any_type_are_asked_for_as_they_are(ids: pd.Series) -> None:
    log = small_log()
    log["user_id"] = ids.repeat(3).to_numpy(dtype=object)
    log["user_id"] = log["user_id"].astype(ids.dtype)
    fitted = GraphRecommender(**SMALL).fit(log)
    table = fitted.recommend(ids, k=1)
    assert table["user_id"].astype(str).tolist() == ids_of(ids)
    assert len(fitted.recommend(ids.iloc[0], k=2)) == 2
    assert len(fitted.recommend(log[["user_id"]].head(3), k=2)) == 6
    assert len(fitted.recommend(log.head(3), k=2)) == 6


def test_ids_in_the_index_are_found() -> None:
    fitted = GraphRecommender(**SMALL).fit(small_log().set_index("user_id"))
    assert len(fitted.recommend([3, 5], k=1)) == 2
    both = GraphRecommender(**SMALL).fit(small_log().assign(n=1).set_index(["user_id", "item_id"]))
    assert both.recommend([3], k=2).equals(fitted.recommend([3], k=2))


def test_a_polars_column_of_objects() -> None:
    ids = pl.Series("user_id", [uuid.UUID(int=user) for user in USERS for _ in range(3)], pl.Object)
    log = pl.DataFrame({"item_id": small_log()["item_id"].tolist()}).with_columns(ids)
    assert len(GraphRecommender(**SMALL).fit(log).recommend([uuid.UUID(int=3)], k=2)) == 2


def test_columns_that_are_no_part_of_a_log_may_hold_anything() -> None:
    log = small_log()
    log["notes"] = [object() if row % 2 else row for row in range(len(log))]
    assert len(GraphRecommender(**SMALL).fit(log).recommend([3], k=1)) == 1


def test_repeated_columns_are_named_and_one_will_do() -> None:
    log = small_log()
    twice = pd.concat([log, log[["user_id"]]], axis=1)
    with pytest.raises(DataError, match=r"several columns named 'user_id'.*drop all but one"):
        GraphRecommender(**SMALL).fit(twice)
    GraphRecommender(**SMALL).fit(twice.loc[:, ~twice.columns.duplicated()])


def test_a_missing_column_is_named(of_floats: GraphRecommender) -> None:
    with pytest.raises(DataError, match=r"no column 'item_id'.*Did you mean 'item'"):
        of_floats.evaluate(small_log().rename(columns={"item_id": "item"}))
    with pytest.raises(DataError, match="no column 'user_id'"):
        GraphRecommender(**SMALL).fit(small_log().rename(columns={"user_id": "x"}))
    renamed = GraphRecommender(**SMALL, user_col="x")
    renamed.fit(small_log().rename(columns={"user_id": "x"}))
    with pytest.raises(DataError, match="no column 'item_id'"):
        GraphRecommender(**SMALL).fit(small_log(), items=pd.DataFrame({"sku": [1]}))


def test_a_mixed_column_of_a_table_is_named_and_its_remedy_helps() -> None:
    items = pd.DataFrame({"item_id": ITEMS, "size": [1, "L", 2, "M", None]})
    with pytest.raises(DataError, match=r"column 'size'.*mixes int and str.*\['size'\].astype"):
        GraphRecommender(**SMALL).fit(small_log(), items=items)
    items["size"] = items["size"].astype(str)
    GraphRecommender(**SMALL, attributes=["size"]).fit(small_log(), items=items)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_id_is_told_by_its_place(of_floats: GraphRecommender, missing: object) -> None:
    for call in (of_floats.recommend, of_floats.similar_items, of_floats.similar_users):
        with pytest.raises(UsageError, match=r"id at place 1 is missing.*Leave missing ids out"):
            call([100.0, missing])
    assert len(of_floats.recommend([3.0], k=1)) == 1


def test_a_frame_of_several_columns_without_the_ids(of_floats: GraphRecommender) -> None:
    frame = small_log().rename(columns={"user_id": "who"})
    with pytest.raises(UsageError, match=r"columns \['who', 'item_id'\] was given for ids"):
        of_floats.recommend(frame)
    assert len(of_floats.recommend(frame["who"].head(1), k=1)) == 1


def test_gaps_do_not_change_what_integers_are() -> None:
    log = to_polars(
        pd.DataFrame({"a": [1.0, np.nan], "b": pd.Series([1, None], dtype=object)}), ("a", "b")
    )
    assert FrameStyle.of(log, log, "a", "b").integers == ("a", "b")
    log = to_polars(pd.DataFrame({"a": [1.5, np.nan], "b": [None, "7"]}), ("a", "b"))
    assert FrameStyle.of(log, log, "a", "b").integers == ()


# --- numbers of numpy


@pytest.mark.parametrize("number", [np.int64, np.int32, np.uint8])
def test_numbers_of_numpy_as_any_option(tmp_path, number: type[np.integer]) -> None:
    options = {
        "epochs": number(1),
        "seed": number(3),
        "width": number(8),
        "heads": number(2),
        "threads": number(1),
        "lr": np.float32(0.01),
        "early_stopping": np.bool_(False),
        "validation_share": np.float64(0.2),
    }
    fitted = GraphRecommender(**options).fit(small_log())
    plain = {name: value.item() for name, value in options.items()}
    expected = GraphRecommender(**plain).fit(small_log()).recommend([3, 5], k=2)
    assert fitted.recommend([3, 5], k=number(2)).equals(expected)
    assert len(fitted.similar_items([100], k=number(2))) == 2
    assert len(fitted.similar_users([3], k=number(2))) == 2
    assert len(fitted.recommend_history([100], k=number(2))) == 2
    unseen = pd.DataFrame({"user_id": [3], "item_id": [400]})
    assert fitted.evaluate(unseen, ks=number(2)) == fitted.evaluate(unseen, ks=[2])
    assert fitted.evaluate(unseen, ks=np.array([2, 3]))["users"] == 1
    loaded = GraphRecommender.load(fitted.save(tmp_path / "saved"))
    assert loaded.recommend([3, 5], k=2).equals(expected)


def test_columns_named_in_an_array_or_an_index(tmp_path) -> None:
    items = pd.DataFrame({"item_id": ITEMS, "size": list("abcab")})
    for names in (np.array(["size"]), items.columns[1:], ["size"]):
        fitted = GraphRecommender(**SMALL, attributes=names).fit(small_log(), items=items)
        loaded = GraphRecommender.load(fitted.save(tmp_path / "saved"))
        assert loaded.get_params()["attributes"] == ("size",)

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fashion import DAYS, fashion_log
from recsys import GraphRecommender
from recsys.core.config import ModelConfig, SplitConfig, TrainConfig, aliases
from recsys.core.errors import ConfigError, DataError, UsageError
from recsys.core.noise import Difference
from recsys.logs.synthetic import communities

WORLD = communities(num_users=60, num_items=40, events_per_user=20, seed=5)
SMALL = {"width": 8, "heads": 2, "epochs": 2, "negatives": 32, "batch_size": 256, "threads": 1}


@pytest.fixture(scope="module")
def fitted() -> GraphRecommender:
    return GraphRecommender(**SMALL, time_col="timestamp").fit(WORLD.log, items=WORLD.items)


def with_numbers(library: str) -> tuple[object, GraphRecommender]:
    """The log with integer ids under other names, as a polars or pandas frame, and a recommender
    for it.
    """
    numbers = [
        pl.col(name).str.slice(1).cast(pl.Int64).alias(new)
        for name, new in (("user_id", "buyer"), ("item_id", "sku"))
    ]
    log = WORLD.log.select(*numbers, "timestamp")
    made = GraphRecommender(**SMALL, user_col="buyer", item_col="sku", early_stopping=False)
    return (log.to_pandas() if library == "pandas" else log), made


def test_an_order_is_understood_and_can_be_named() -> None:
    place = pl.int_range(pl.len(), dtype=pl.Int64).over("user_id")
    log = WORLD.log.sort("user_id", "timestamp").with_columns(place.alias("step"))
    log = log.drop("timestamp")
    by_itself = GraphRecommender(**SMALL, time_col="step")
    with pytest.warns(UserWarning, match=r"'step' holds small whole numbers .* \"order\""):
        by_itself.fit(log)
    # The remedy; warnings are errors here.
    named = GraphRecommender(**SMALL, time_col="step", time_unit="order").fit(log)
    users = log["user_id"].unique().sort().head(5)
    assert named.recommend(users, 3).equals(by_itself.recommend(users, 3))


# --- conventions of scikit-learn
# ----------------------------------------------------------------------------------


def test_parameters_are_kept_set_and_cloned() -> None:
    made = GraphRecommender(width=16, attributes=("genres",))
    assert made.get_params()["width"] == 16
    assert made.set_params(width=32).width == 32
    copy = clone(made)
    assert copy is not made and copy.get_params() == made.get_params()


def test_defaults_are_those_of_the_configuration() -> None:
    given = GraphRecommender().get_params()
    for section in (ModelConfig(), TrainConfig(), SplitConfig()):
        for name, value in section.model_dump().items():
            assert given.get(name, value) == value, name


def test_parameters_are_checked_when_they_are_used() -> None:
    with pytest.raises(ConfigError, match="width"):
        GraphRecommender(width=0).fit(WORLD.log)


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        GraphRecommender().recommend(["u1"])


# --- answers
# ------------------------------------------------------------------------------------------------------


def test_recommend_gives_a_ranked_frame(fitted: GraphRecommender) -> None:
    table = fitted.recommend(["u1", "u2"], k=4)
    assert isinstance(table, pl.DataFrame)
    assert table.columns == ["user_id", "item_id", "score", "rank"]
    assert table["user_id"].to_list() == ["u1"] * 4 + ["u2"] * 4
    assert table["rank"].to_list() == [1, 2, 3, 4] * 2
    seen = set(WORLD.log.filter(pl.col("user_id") == "u1")["item_id"])
    assert not seen & set(table.filter(pl.col("user_id") == "u1")["item_id"])


def test_lists_are_filtered_and_bent_as_by_lookup(fitted: GraphRecommender) -> None:
    bent = {"filters": {"genres": ["genre 0", "genre 1"]}, "popularity": 0.3, "diversity": 0.5}
    table = fitted.recommend(["u1"], k=4, **bent)
    [answer] = fitted.lookup_.recommend(["u1"], 4, **bent)
    assert table["item_id"].to_list() == [item["id"] for item in answer["items"]]
    assert table["item_id"].to_list() != fitted.recommend(["u1"], k=4)["item_id"].to_list()


def test_taste_is_found_again(fitted: GraphRecommender) -> None:
    users = [f"u{number}" for number in range(60)]
    table = fitted.recommend(users, k=3)
    own = [
        int(item[1:]) % 4 == int(user[1:]) % 4
        for user, item in table.select("user_id", "item_id").iter_rows()
    ]
    assert np.mean(own) > 0.45, (
        "a quarter of the items is right by chance, and most of those were taken already"
    )


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_the_frame_comes_back_as_it_went_in(library: str) -> None:
    log, made = with_numbers(library)
    table = made.fit(log).recommend([1, 2], k=3)
    assert isinstance(table, pd.DataFrame if library == "pandas" else pl.DataFrame)
    assert list(table.columns) == ["buyer", "sku", "score", "rank"]
    assert table["buyer"].to_list() == [1, 1, 1, 2, 2, 2]
    assert all(isinstance(item, int) for item in table["sku"].to_list())


def test_one_user_a_series_or_an_array_will_do(fitted: GraphRecommender) -> None:
    expected = fitted.recommend(["u1", "u3"], k=2)
    for users in (
        pl.Series(["u1", "u3"]),
        pd.Series(["u1", "u3"]),
        np.array(["u1", "u3"]),
        ("u1", "u3"),
    ):
        assert fitted.recommend(users, k=2).equals(expected)
    assert fitted.recommend("u1", k=2)["item_id"].to_list() == expected["item_id"].to_list()[:2]
    assert fitted.recommend([], k=2).schema == expected.schema


def test_allow_deny_and_seen(fitted: GraphRecommender) -> None:
    table = fitted.recommend("u1", k=9, allow=["i1", "i2", "i3"], deny=["i2"], exclude_seen=False)
    assert set(table["item_id"]) == {"i1", "i3"}


def test_unknown_users(fitted: GraphRecommender) -> None:
    with pytest.raises(UsageError, match="unknown user 'nobody'"):
        fitted.recommend("nobody")
    assert len(fitted.recommend("nobody", k=3, fallback="popularity")) == 3
    with pytest.warns(FutureWarning, match="'unknown' is called 'fallback'"):
        old_name = fitted.recommend("nobody", k=3, unknown="popularity")
    assert old_name.equals(fitted.recommend("nobody", k=3, fallback="popularity"))


def test_one_new_user_does_not_end_a_batch(fitted: GraphRecommender) -> None:
    with pytest.warns(UserWarning, match=r"1 of 3 users .* \['nobody'\]; fallback="):
        table = fitted.recommend(["u1", "nobody", "u2"], k=3)
    assert table.equals(fitted.recommend(["u1", "u2"], k=3))
    filled = fitted.recommend(["u1", "nobody", "u2"], k=3, fallback="popularity")
    assert filled["user_id"].to_list() == ["u1"] * 3 + ["nobody"] * 3 + ["u2"] * 3


def test_a_table_with_reasons(fitted: GraphRecommender) -> None:
    table = fitted.recommend(["u1", "u2"], k=2, explain=True)
    assert table.columns[-1] == "reasons" and len(table) == 4
    [answer] = fitted.lookup_.recommend(["u2"], 2, explain=True)
    last = "; ".join(reason["text"] for reason in answer["items"][1]["reasons"])
    assert table["reasons"][3] == last


@pytest.mark.filterwarnings("ignore:times are")
def test_strangers_get_what_is_popular_of_late_where_fashions_change() -> None:
    made = GraphRecommender(**SMALL, time_col="timestamp", patience=1).fit(fashion_log())
    [days] = [made.lookup_.bundle.model_card["popular_days"]]
    assert 0 < days < DAYS / 4
    table = made.recommend(["nobody", 7], k=5, fallback="popularity")
    assert table["user_id"].to_list() == ["nobody"] * 5 + ["7"] * 5
    assert table["item_id"][:5].min() > DAYS / 2


def test_likeness_stays_within_communities(fitted: GraphRecommender) -> None:
    items = fitted.similar_items(["i1", "i5"], k=3)
    assert items.columns == ["item_id", "similar_item_id", "score", "rank"]
    assert len(items) == 6 and not (items["item_id"] == items["similar_item_id"]).any()
    users = fitted.similar_users("u1", k=3)
    assert users.columns == ["user_id", "similar_user_id", "score", "rank"] and len(users) == 3


def test_a_visitor(fitted: GraphRecommender) -> None:
    assert fitted.fold_in(["i1", "i5"]).shape == (8,)
    table = fitted.recommend_history(["i1", "i5"], k=3)
    assert table.columns == ["item_id", "score", "rank"]
    assert not {"i1", "i5"} & set(table["item_id"])
    again = fitted.recommend("u1", k=3, histories=[["i30"]])
    assert "i30" not in set(again["item_id"])


def test_a_visitor_with_attributes() -> None:
    made = GraphRecommender(**SMALL, user_attributes=["country"], early_stopping=False)
    made.fit(WORLD.log, users=WORLD.users)
    countries = WORLD.users["country"].unique().sort().to_list()[:2]
    one, other = (made.fold_in(["i1", "i5"], {"country": country}) for country in countries)
    assert not np.allclose(one, other)
    assert len(made.recommend_history([], k=3, attributes={"country": countries[0]})) == 3
    with pytest.raises(UsageError, match="country"):
        made.recommend_history(["i1"], attributes={"country": "nowhere"})


# --- texts and the second stage
# ----------------------------------------------------------------------------------


def test_texts_and_trees_are_fitted_served_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees are used here whatever they are worth; titles say what new items are."""
    better = Difference(1.0, 0.0)
    monkeypatch.setattr("recsys.fitting.second_stage.difference", lambda *values: better)
    items = WORLD.items.with_columns(title=pl.col("genres").list.join(" "))
    made = GraphRecommender(**SMALL, time_col="timestamp", texts=["title"], second_stage="lightgbm")
    made.fit(WORLD.log, items=items)
    bundle = made.lookup_.bundle
    assert bundle.second_stage is not None
    assert "goes_with_latest" in bundle.second_stage.trees.names
    assert "text:title" in [feature.name for feature in bundle.item_map.features]
    lists = made.recommend(["u0", "u1"], 5)
    loaded = GraphRecommender.load(made.save(tmp_path / "saved"))
    assert loaded.get_params()["texts"] == ("title",)
    assert loaded.recommend(["u0", "u1"], 5).equals(lists)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"texts": ["title"]}, r"there is no frame .*Give fit\(interactions, items=…\)"),
        ({"texts": "title"}, r"no list of columns.*texts=\['title'\]"),
        ({"text_model": "model"}, "reads no text.*texts"),
        (
            {"second_stage": "lightgbm", "early_stopping": False},
            "fitted on rows held out.*early_stopping=True",
        ),
    ],
)
def test_what_texts_and_trees_need(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}"):
        GraphRecommender(**{**SMALL, **parameters}).fit(WORLD.log)


def test_texts_of_a_column_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match=r"'titel', which is not there.*title"):
        GraphRecommender(**SMALL, texts=["titel"]).fit(WORLD.log, items=WORLD.items)


def test_explanations_add_up(fitted: GraphRecommender) -> None:
    found = fitted.explain("u1", "i9")
    shares = sum(part["share"] for part in found["parts"])
    total = shares + found["others"] + found.get("trend", 0.0) + found["rest"]
    assert total == pytest.approx(found["score"], abs=1e-5)
    assert found["title"] == "Item number 9"


def test_evaluate_masks_what_was_learnt(fitted: GraphRecommender) -> None:
    rows = WORLD.log.sort("timestamp").unique(
        ["user_id", "item_id"], keep="first", maintain_order=True
    )
    train, test = rows[:-150], rows[-150:]
    made = GraphRecommender(**SMALL, time_col="timestamp").fit(train)
    found = made.evaluate(test, ks=(5,))
    assert 0 < found["recall@5"] < 1 and found["users"] > 10
    strangers = pl.DataFrame({"user_id": ["u1", "nobody"], "item_id": ["nothing", "i1"]})
    assert (
        made.evaluate(pl.concat([test.select("user_id", "item_id"), strangers]), ks=(5,))["dropped"]
        >= 2
    )


# --- what stays the same
# ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_lists(fitted: GraphRecommender) -> None:
    again = clone(fitted).fit(WORLD.log, items=WORLD.items)
    assert again.epochs_ == fitted.epochs_
    assert again.recommend(["u1", "u9"]).equals(fitted.recommend(["u1", "u9"]))


def test_saved_and_loaded_it_answers_alike(fitted: GraphRecommender, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "saved")
    loaded = GraphRecommender.load(folder)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.recommend(["u1", "u2"]).equals(fitted.recommend(["u1", "u2"]))
    fitted.save(folder)
    with pytest.raises(UsageError, match="not a saved recommender"):
        GraphRecommender.load(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(UsageError, match="other files"):
        fitted.save(tmp_path / "mine")


def test_users_as_histories_are_fitted_saved_and_loaded(tmp_path: Path) -> None:
    made = GraphRecommender(**SMALL, family="history", time_col="timestamp").fit(WORLD.log)
    loaded = GraphRecommender.load(made.save(tmp_path / "saved"))
    assert loaded.family == "history" and loaded.get_params() == made.get_params()
    lists = made.recommend(["u1", "u2"], 4, histories=[["i3"], ["i4", "i5"]])
    assert len(lists) == 8
    assert loaded.recommend(["u1", "u2"], 4, histories=[["i3"], ["i4", "i5"]]).equals(lists)


def test_one_saved_with_an_old_name_of_a_parameter_is_loaded(
    fitted: GraphRecommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = fitted.save(tmp_path / "films") / "recommender.json"
    monkeypatch.setitem(aliases.ALIASES, "model.size", "model.width")
    card.write_text(card.read_text().replace('"width"', '"size"'))
    with pytest.warns(FutureWarning, match=r"model\.size is now called model\.width"):
        loaded = GraphRecommender.load(tmp_path / "films")
    assert loaded.width == fitted.width


def test_a_frame_of_the_wrong_kind(fitted: GraphRecommender) -> None:
    with pytest.raises(DataError, match="list"):
        GraphRecommender().fit([1, 2, 3])
    with pytest.raises(DataError, match="user_id"):
        GraphRecommender().fit(WORLD.log.drop("user_id"))


def test_nothing_stays_behind_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = GraphRecommender(**SMALL, early_stopping=False).fit(WORLD.log)
    assert list(tmp_path.iterdir())
    del made
    assert not list(tmp_path.iterdir())


def test_importing_recsys_loads_nothing_heavy() -> None:
    code = "import sys, recsys; print([m for m in ('torch', 'dgl', 'sklearn', 'polars', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

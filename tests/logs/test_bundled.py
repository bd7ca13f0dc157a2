"""The bundled sample: counts as published, and a log like any other."""

from pathlib import Path

import polars as pl

from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.interactions import fit_interactions, hold_out
from recsys.core.tables import TITLE, USER
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log

FOLDER = Path(__file__).parents[2] / "data" / "movielens-small"
DATA = DataConfig(user_col="userId", item_col="movieId", items=str(FOLDER / "movies.parquet"))


def test_counts_are_those_that_grouplens_published():
    ratings, movies = (
        pl.read_parquet(FOLDER / f"{name}.parquet") for name in ("ratings", "movies")
    )
    assert (len(ratings), ratings["userId"].n_unique(), ratings["movieId"].n_unique()) == (
        100_004,
        671,
        9_066,
    )
    assert set(movies["movieId"]) == set(ratings["movieId"])
    assert movies.columns == ["movieId", "title", "year", "genres"]


def test_it_is_read_whole_and_a_global_cut_leaves_few_warm_users(tmp_path):
    report = ingest(FOLDER / "ratings.parquet", DATA, CleanConfig(), tmp_path / "log")
    assert report.rows_kept == 100_004 and report.items_without_attributes == 0
    log = load_log(tmp_path / "log")
    assert log.item_table.filter(pl.col(TITLE) == "Heat")["genres"].to_list() == [
        ["Action", "Crime", "Thriller"]
    ]
    splits = split_log(log, SplitConfig(), "interaction", 0)
    train = fit_interactions(splits.rows("final"), log.users, log.items, log.behaviors)
    assert len(set(splits.test[USER]) & set(train.user_codes.tolist())) == 22
    assert (
        len(set(hold_out(splits.test, train).user)) == 21
    )  # one of them took only films that nobody had rated before

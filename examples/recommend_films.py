"""Learn from a frame, recommend, ask why: the bundled film ratings in thirty lines.

python examples/recommend_films.py
"""

from pathlib import Path

import polars as pl

from recsys import GraphRecommender

DATA = Path(__file__).parent.parent / "data" / "movielens-small"


def main(epochs: int = 5) -> None:
    ratings = pl.read_parquet(DATA / "ratings.parquet").filter(pl.col("rating") >= 3.5)
    films = pl.read_parquet(DATA / "movies.parquet")
    recommender = GraphRecommender(
        user_col="userId", item_col="movieId", time_col="timestamp", epochs=epochs
    )
    recommender.fit(ratings, items=films)

    for_user = recommender.recommend([42], k=5)
    print(for_user.join(films.select("movieId", "title"), on="movieId"))

    first = for_user["movieId"][0]
    for part in recommender.explain(42, first, parts=3)["parts"]:
        print(f"because of {part.get('title', part['id'])}: {part['share']:+.4f}")

    visitor = recommender.recommend_history([1, 3114], k=5)  # the two Toy Stories
    print(visitor.join(films.select("movieId", "title"), on="movieId"))


if __name__ == "__main__":
    main()

"""Made-up logs whose best answer is known, on which a default must not lose to a simple baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.core.arrays import Float64Array, IntArray
from recsys.core.config import RunConfig, build_config

_DAY = 86_400
_USERS, _ITEMS, _EVENTS = 2_000, 1_000, 20
_GROUPS = 10


def popularity_only(folder: Path, seed: int) -> RunConfig:
    """What users take depends on nothing but how popular items are."""
    draw = np.random.default_rng(seed)
    user = _users_of_events()
    item = draw.choice(_ITEMS, len(user), p=_zipf(_ITEMS))
    return _global_time(_log(user, item, _random_days(draw, len(user))), folder)


def two_populations(folder: Path, seed: int) -> RunConfig:
    """Half of the users have tastes, the others take what is popular."""
    draw = np.random.default_rng(seed)
    user = _users_of_events()
    popular = draw.choice(_ITEMS, len(user), p=_zipf(_ITEMS))
    of_taste = _of_group(user % _GROUPS, draw)
    has_taste = user % 2 == 0
    item = np.where(has_taste, of_taste, popular)
    return _global_time(_log(user, item, _random_days(draw, len(user))), folder)


def drift(folder: Path, seed: int) -> RunConfig:
    """Items come and go: each is taken in the weeks after its first day, and hardly ever later."""
    draw = np.random.default_rng(seed)
    user = _users_of_events()
    day = _random_days(draw, len(user))
    first_day = draw.uniform(-30, 100, _ITEMS)
    item = np.empty(len(user), np.int64)
    for event, moment in enumerate(day):
        age = moment - first_day
        weight = np.where(age >= 0, np.exp(-age / 10), 0.0) * _zipf(_ITEMS)
        item[event] = draw.choice(_ITEMS, p=weight / weight.sum())
    return _global_time(_log(user, item, day), folder)


def leaking_views(folder: Path, seed: int) -> RunConfig:
    """Nearly all purchases in train were viewed before, and none of the test's were."""
    draw = np.random.default_rng(seed)
    user = _users_of_events()
    item = _of_group(user % _GROUPS, draw)
    rows = _log(user, item, _random_days(draw, len(user))).unique(["user_id", "item_id"])
    rows = rows.sample(fraction=1.0, shuffle=True, seed=seed)
    bought = rows.with_columns(behavior=pl.lit("buy"))
    test = bought.head(len(bought) // 5)
    train_bought = bought.tail(len(bought) - len(test))
    viewed = train_bought.with_columns(behavior=pl.lit("view")).sample(fraction=0.95, seed=seed)
    viewed = viewed.with_columns(timestamp=pl.col("timestamp") - 60)
    folder.mkdir(parents=True, exist_ok=True)
    pl.concat([train_bought, viewed]).write_parquet(folder / "train.parquet")
    test.write_parquet(folder / "test.parquet")
    data = {"train": str(folder / "train.parquet"), "test": str(folder / "test.parquet")}
    return build_config({"data": data, "split": {"method": "given"}, "graph": {"target": "buy"}})


WORLDS: dict[str, Callable[[Path, int], RunConfig]] = {
    "popularity-only": popularity_only,
    "two-populations": two_populations,
    "drift": drift,
    "leaking-views": leaking_views,
}
"""By name, what writes the files of a world into a folder and says how to run it."""


def _users_of_events() -> IntArray:
    return np.repeat(np.arange(_USERS), _EVENTS)


def _zipf(count: int) -> Float64Array:
    """(count,) probabilities that fall with the rank."""
    weight = 1.0 / np.arange(1, count + 1)
    return np.asarray(weight / weight.sum())


def _of_group(group: IntArray, draw: np.random.Generator) -> IntArray:
    """(events,) an item of each event's group, the popular ones more often."""
    size = _ITEMS // _GROUPS
    rank = draw.choice(size, len(group), p=_zipf(size))
    return np.asarray(rank * _GROUPS + group)


def _random_days(draw: np.random.Generator, count: int) -> Float64Array:
    return draw.uniform(0, 100, count)


def _log(user: IntArray, item: IntArray, day: Float64Array) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "user_id": [f"u{number}" for number in user],
        "item_id": [f"i{number}" for number in item],
        "timestamp": 1_600_000_000 + (day * _DAY).astype(np.int64),
    }
    return pl.DataFrame(columns)


def _global_time(rows: pl.DataFrame, folder: Path) -> RunConfig:
    """The last tenth of the time is the test."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(folder / "log.parquet")
    return build_config(
        {"data": {"log": str(folder / "log.parquet")}, "split": {"method": "global_time"}}
    )

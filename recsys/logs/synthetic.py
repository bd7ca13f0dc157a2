"""Worlds with known answers: logs small enough to reason about, and one large enough to measure."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Int32Array, Int64Array, IntArray
from recsys.core.tables import BEHAVIOR, ITEM_ID, LOG_SCHEMA, RATING, TIME, TITLE, USER_ID, WEIGHT

START = 1_600_000_000  # 2020-09-13, the first moment of every world
DAY = 86_400
GENRES = "genres"
COUNTRY = "country"


@dataclass(frozen=True)
class World:
    """A log with its side tables and the truth behind it.

    log: LOG_SCHEMA columns. items: ITEM_ID, TITLE, GENRES (list). users: USER_ID, COUNTRY.
    user_group, item_group: the community of each user and item, in the order of `users` and
    `items`.
    """

    log: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    user_group: Int32Array
    item_group: Int32Array


def checkerboard(num_users: int = 20, num_items: int = 20) -> pl.DataFrame:
    """User u took item i when u + i is even and u ≠ i: the right first recommendation for user u is
    item u.

    One timestamp a day, in item order. (The test matrix of the `implicit` library, with the
    diagonal held out.)
    """
    user, item = np.meshgrid(np.arange(num_users), np.arange(num_items), indexing="ij")
    taken = ((user + item) % 2 == 0) & (user != item)
    user, item = user[taken], item[taken]
    return _log({USER_ID: _names("u", user), ITEM_ID: _names("i", item), TIME: START + DAY * item})


def communities(
    num_users: int = 200,
    num_items: int = 120,
    num_communities: int = 4,
    events_per_user: int = 20,
    inside: float = 0.9,
    behaviors: tuple[str, ...] = (),
    days: int = 100,
    seed: int = 0,
) -> World:
    """Users take items of their own community with probability `inside`, else any item; popularity
    falls off within it.

    User n and item n belong to community n modulo `num_communities`; an item's first genre names
    its community. Times rise over `days` days. With `behaviors`, the last is the rarest and every
    event of it is preceded, an hour before, by one of the first with the same pair. Ratings are 4
    or 5 inside the community and 1 to 3 outside.
    """
    draw = np.random.default_rng(seed)
    # The order of the draws is part of the world: another order, another log for the same seed.
    user = np.repeat(np.arange(num_users), events_per_user)
    group = user % num_communities
    own = draw.random(len(user)) < inside
    item = _community_items(draw, group, own, num_items, num_communities)
    time = START + draw.integers(0, days * DAY, len(user))
    item_group = (np.arange(num_items) % num_communities).astype(np.int32)
    agrees = item_group[item] == group
    high = draw.integers(4, 6, len(user))
    low = draw.integers(1, 4, len(user))
    rating = np.where(agrees, high, low)
    columns = {
        USER_ID: _names("u", user),
        ITEM_ID: _names("i", item),
        TIME: time,
        WEIGHT: np.round(draw.gamma(2.0, 0.5, len(user)) + 0.1, 3),
        RATING: rating,
    }
    log = _log(columns)
    return World(
        log=_with_behaviors(log, behaviors, draw) if behaviors else log,
        items=_item_table(num_items, num_communities),
        users=pl.DataFrame(
            {
                USER_ID: _names("u", np.arange(num_users)),
                COUNTRY: _names("country ", np.arange(num_users) % num_communities),
            }
        ),
        user_group=(np.arange(num_users) % num_communities).astype(np.int32),
        item_group=item_group,
    )


def _community_items(
    draw: np.random.Generator,
    group: IntArray,
    own: BoolArray,
    num_items: int,
    num_communities: int,
) -> Int64Array:
    """(n,) items: a power law within the user's group where `own`, else uniform over all items."""
    # ⌈(items − group) / communities⌉ items are of a group: group, group + communities, …
    inside_count = (num_items - group + num_communities - 1) // num_communities
    # ⌊n · x^1.5⌋ of uniform x: the earlier an item of its group, the more popular.
    position = (inside_count * draw.random(len(group)) ** 1.5).astype(np.int64)
    own_item = group + position * num_communities
    any_item = draw.integers(0, num_items, len(group))
    return np.where(own, own_item, any_item)


def _with_behaviors(
    log: pl.DataFrame, behaviors: tuple[str, ...], draw: np.random.Generator
) -> pl.DataFrame:
    # Each behaviour is half as frequent as the one before it.
    share = 0.5 ** np.arange(len(behaviors))
    chosen = draw.choice(len(behaviors), size=len(log), p=share / share.sum())
    names = np.array(behaviors)[chosen]
    log = log.with_columns(pl.Series(BEHAVIOR, names.tolist()))
    columns = [name for name in LOG_SCHEMA if name in log.columns]
    if len(behaviors) == 1:
        return log.select(columns)
    rarest = log.filter(pl.col(BEHAVIOR) == behaviors[-1])
    before = rarest.with_columns(pl.lit(behaviors[0]).alias(BEHAVIOR), pl.col(TIME) - 3600)
    return pl.concat([log, before]).select(columns)


def _item_table(num_items: int, num_communities: int) -> pl.DataFrame:
    numbers = np.arange(num_items)
    genres = [[f"genre {n % num_communities}", "even" if n % 2 == 0 else "odd"] for n in numbers]
    return pl.DataFrame(
        {ITEM_ID: _names("i", numbers), TITLE: _names("Item number ", numbers), GENRES: genres}
    )


def large_log(
    folder: Path,
    rows: int = 20_000_000,
    users: int = 2_000_000,
    items: int = 200_000,
    files: int = 8,
    seed: int = 0,
    duplicates: float = 0.02,
) -> list[Path]:
    """Write a power-law log with string ids and times as `files` Parquet files; returns their
    paths.

    Users are drawn as ⌊n·x³⌋ for uniform x, items by Zipf's law with exponent 1, ⌊(n + 1)^x⌋ − 1; a
    share `duplicates` of the rows are exact copies of rows of the same file. Memory: the ids and
    one file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    user_names = pl.Series(_scrambled("user-", users))
    item_names = pl.Series(_scrambled("item-", items))
    paths = []
    for number in range(files):
        # Rounded at the borders of files, so that all counts add up to `rows`.
        count = rows * (number + 1) // files - rows * number // files
        draw = np.random.default_rng([seed, number])
        frame = _large_part(draw, count, user_names, item_names, duplicates)
        path = folder / f"part-{number:04d}.parquet"
        frame.write_parquet(path, compression="zstd", statistics=False)
        paths.append(path)
    return paths


def _large_part(
    draw: np.random.Generator,
    count: int,
    user_names: pl.Series,
    item_names: pl.Series,
    duplicates: float,
) -> pl.DataFrame:
    fresh = count - int(count * duplicates)
    user = (len(user_names) * draw.random(fresh) ** 3).astype(np.int64)
    item = ((len(item_names) + 1) ** draw.random(fresh) - 1).astype(np.int64)
    time = START + draw.integers(0, 365 * DAY, fresh)
    # Every row once, and the copied ones again, in any order.
    copied = draw.integers(0, max(fresh, 1), count - fresh)
    source = draw.permutation(np.concatenate([np.arange(fresh), copied]))
    return pl.DataFrame(
        {
            USER_ID: user_names.gather(pl.Series(user[source])),
            ITEM_ID: item_names.gather(pl.Series(item[source])),
            TIME: time[source],
        }
    )


def _scrambled(prefix: str, count: int) -> list[str]:
    """Distinct ids whose text order has nothing to do with their popularity."""
    # An odd factor modulo 2³² gives every number below it another one (Knuth's multiplicative
    # hash).
    return [f"{prefix}{number * 2_654_435_761 % 4_294_967_296:010d}" for number in range(count)]


def _names(prefix: str, numbers: IntArray) -> list[str]:
    return [f"{prefix}{number}" for number in numbers.tolist()]


def _log(columns: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(columns).cast(
        {name: kind for name, kind in LOG_SCHEMA.items() if name in columns}
    )

"""A log of any size whose truth is known: every user follows a few topics, every topic has popular
and rare items.

An event is drawn as: one of its user's topics, each alike; an item of that topic, by Zipf's law;
a moment of one year. How active users are is log-normal. So the chance of every pair is known, and
with it the best list that there can be.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from recsys.core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from recsys.core.errors import UsageError
from recsys.core.interactions import Interactions
from recsys.core.tables import ITEM_ID, TIME, USER_ID

TOPICS = 200
TOPICS_OF_A_USER = 3
ZIPF_EXPONENT = 1.0
ACTIVITY_SPREAD = 1.0
"""Standard deviation of the logarithm of how active users are."""
START = 1_600_000_000
YEAR_SECONDS = 365 * 86_400
ROWS_A_USER = 25
ITEMS_AT_5M = 50_000
_USERS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Truth:
    """What the rows of a planted log are drawn from.

    user_topics: (users, 3) topics that each user follows.
    item_topic: (items,) the topic of each item.
    appeal: (items,) chance of each item among those of its topic.
    """

    user_topics: Int32Array
    item_topic: Int32Array
    appeal: Float64Array

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        np.savez(path, user_topics=self.user_topics, item_topic=self.item_topic, appeal=self.appeal)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The truth that `save` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["user_topics"], arrays["item_topic"], arrays["appeal"])


def shape_of(rows: int) -> tuple[int, int]:
    """Users and items of a log: 25 rows a user; items as the root of rows, 50,000 at 5 M."""
    users = max(rows // ROWS_A_USER, 1)
    items = round(ITEMS_AT_5M * (rows / 5_000_000) ** 0.5)
    return users, items


def draw_truth(users: int, items: int, seed: int = 0) -> Truth:
    """Topics of users and items. Raises UsageError where a topic would have no item."""
    if items < TOPICS:
        raise UsageError(
            f"{items} items cannot fill {TOPICS} topics", f"Ask for at least {TOPICS} items"
        )
    rng = np.random.default_rng([seed, 0])
    # Every topic gets the same number of items, up to one; their ids say nothing.
    item_topic = (rng.permutation(items) % TOPICS).astype(np.int32)
    return Truth(_draw_user_topics(users, rng), item_topic, _zipf_appeal(item_topic))


def draw_log(truth: Truth, rows: int, seed: int = 0) -> pl.DataFrame:
    """`rows` events (user_id, item_id, timestamp) in no order; a pair may repeat."""
    rng = np.random.default_rng([seed, 1])
    users = len(truth.user_topics)
    activity = np.exp(ACTIVITY_SPREAD * rng.standard_normal(users))
    rows_per_user = rng.multinomial(rows, activity / activity.sum())
    user = np.repeat(np.arange(users, dtype=np.int32), rows_per_user)
    topic = truth.user_topics[user, rng.integers(0, TOPICS_OF_A_USER, rows)]
    item = _draw_items(truth, topic, rng)
    time = START + rng.integers(0, YEAR_SECONDS, rows)
    order = rng.permutation(rows)
    return pl.DataFrame({USER_ID: user[order], ITEM_ID: item[order], TIME: time[order]})


class Oracle:
    """Scores items by the chance that a user takes them: no list can do better on average."""

    def __init__(self, truth: Truth, interactions: Interactions) -> None:
        """interactions: whose internal ids are asked for; of a log that `truth` gave."""
        user_numbers = interactions.users.ids.cast(pl.Int64).to_numpy()
        item_numbers = interactions.items.ids.cast(pl.Int64).to_numpy()
        self.user_topics = truth.user_topics[user_numbers]
        self.item_topic = truth.item_topic[item_numbers]
        self.appeal = truth.appeal[item_numbers].astype(np.float32)

    def score(self, users: Int32Array) -> Float32Array:
        """(n, items): P(item | user) · 3, which is its appeal where the user follows its topic."""
        follows = np.zeros((len(users), TOPICS), np.float32)
        np.put_along_axis(follows, self.user_topics[users], 1.0, axis=1)
        return follows[:, self.item_topic] * self.appeal


def _draw_user_topics(users: int, rng: np.random.Generator) -> Int32Array:
    """(users, 3) different topics of each user: the largest of as many random keys as topics."""
    parts = []
    for first in range(0, users, _USERS_AT_ONCE):
        count = min(_USERS_AT_ONCE, users - first)
        keys = rng.random((count, TOPICS), np.float32)
        largest = np.argpartition(keys, -TOPICS_OF_A_USER, axis=1)[:, -TOPICS_OF_A_USER:]
        parts.append(largest.astype(np.int32))
    return np.concatenate(parts)


def _zipf_appeal(item_topic: Int32Array) -> Float64Array:
    """(items,) chances 1 / rank^s within each topic, summing to 1 there."""
    order = np.argsort(item_topic, kind="stable")
    sizes = np.bincount(item_topic, minlength=TOPICS)
    first_of_topic = np.cumsum(sizes) - sizes
    ranks = np.empty(len(item_topic), np.int64)
    ranks[order] = np.arange(len(item_topic)) - np.repeat(first_of_topic, sizes) + 1
    weights: Float64Array = ranks**-ZIPF_EXPONENT
    totals = np.bincount(item_topic, weights, TOPICS)
    return np.asarray(weights / totals[item_topic], np.float64)


def _draw_items(truth: Truth, topic: Int32Array, rng: np.random.Generator) -> Int32Array:
    """(n,) an item of each topic, by its appeal there."""
    # Chances of all items one after the other, topic by topic: topic t covers t to t + 1.
    order = np.argsort(truth.item_topic, kind="stable")
    ends = np.cumsum(truth.appeal[order])
    sizes = np.bincount(truth.item_topic, minlength=TOPICS)
    last_of_topic: Int64Array = np.cumsum(sizes) - 1
    first_of_topic = last_of_topic - sizes + 1
    places = np.searchsorted(ends, topic + rng.random(len(topic)), side="right")
    # Sums are rounded: a draw at the border stays within its topic.
    places = places.clip(first_of_topic[topic], last_of_topic[topic])
    return order[places].astype(np.int32)

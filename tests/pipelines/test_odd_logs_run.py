"""Logs of odd shapes: each run ends with a bundle that answers, or says what to change."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chain import Call
from recsys.bundle.bundle import Bundle
from recsys.lookup.lookup import Lookup

pytestmark = pytest.mark.slow

QUICK = """
threads = 1
first = false
[data]
log = "{log}"
{time}
[split]
{split}
[model]
width = 16
heads = 2
[train]
epochs = 2
negatives = 64
[evaluate]
bootstrap = 100
baselines = ["popularity", "itemknn", "ease", "gfcf"]
"""
USER, ITEM, TIME = "user_id", "item_id", "timestamp"
DAY = 86_400


def frame(users: np.ndarray, items: np.ndarray, times: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            USER: [f"u{user}" for user in users],
            ITEM: [f"i{item}" for item in items],
            TIME: times.astype(np.int64),
        }
    )


def drawn(rng: np.random.Generator, users: int, items: int, rows: int) -> pl.DataFrame:
    """Each user takes items of one of six kinds more often than others, one after the other."""
    user = rng.integers(0, users, rows)
    kind = np.where(rng.random(rows) < 0.8, user % 6, rng.integers(0, 6, rows))
    item = kind + 6 * (rng.random(rows) ** 2 * (items // 6)).astype(int)
    return frame(user, item, 1_600_000_000 + rng.permutation(rows) * 600)


def one_giant_component(rng: np.random.Generator) -> pl.DataFrame:
    """A chain: every user shares one item with the next and no other."""
    user = np.repeat(np.arange(600), 6)
    item = user * 5 + np.tile(np.arange(6), 600)
    return frame(user, item, 1_600_000_000 + np.arange(len(user)) * 60)


def thousands_of_components(rng: np.random.Generator) -> pl.DataFrame:
    """Six items for every two users, who met nobody else's."""
    user = np.repeat(np.arange(2_000), 6)
    item = (user // 2) * 6 + np.tile(np.arange(6), 2_000)
    return frame(user, item, 1_600_000_000 + rng.permutation(len(user)))


def a_user_with_half_of_all_rows(rng: np.random.Generator) -> pl.DataFrame:
    rows = drawn(rng, 200, 1_200, 2_000)
    heavy = frame(np.full(1_200, 999), np.arange(1_200), 1_600_000_000 + np.arange(1_200) * 1000)
    return pl.concat([rows, heavy])


def an_item_that_everybody_has(rng: np.random.Generator) -> pl.DataFrame:
    rows = drawn(rng, 300, 120, 3_000)
    everywhere = frame(np.arange(300), np.full(300, 9_999), np.full(300, 1_600_000_000))
    return pl.concat([rows, everywhere])


def items_of_one_row_each(rng: np.random.Generator) -> pl.DataFrame:
    """Beside a few that are met again."""
    rows = drawn(rng, 200, 60, 2_000)
    single = frame(
        rng.integers(0, 200, 20_000),
        10_000 + np.arange(20_000),
        1_600_000_000 + rng.permutation(20_000) * 60,
    )
    return pl.concat([rows, single])


def all_rows_of_one_second(rng: np.random.Generator) -> pl.DataFrame:
    return drawn(rng, 200, 120, 3_000).with_columns(pl.lit(1_600_000_000).alias(TIME))


def three_users(rng: np.random.Generator) -> pl.DataFrame:
    """Who alone can be validated on: all others have one row."""
    few = frame(np.repeat([0, 1, 2], 12), np.tile(np.arange(12), 3), np.arange(36) * DAY)
    once = frame(np.arange(3, 300), rng.integers(0, 12, 297), rng.integers(0, 36, 297) * DAY)
    return pl.concat([few, once])


def one_long_history(rng: np.random.Generator) -> pl.DataFrame:
    """Somebody with 100,000 events, again and again of the same items."""
    rows = drawn(rng, 300, 120, 3_000)
    long = frame(
        np.full(100_000, 999),
        rng.integers(0, 120, 100_000),
        1_600_000_000 + np.arange(100_000),
    )
    return pl.concat([rows, long])


def times_on_some_rows(rng: np.random.Generator) -> pl.DataFrame:
    rows = drawn(rng, 200, 120, 3_000)
    return rows.with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.col(TIME)).alias(TIME))


def an_order_with_gaps_and_repeats(rng: np.random.Generator) -> pl.DataFrame:
    """0, 0, 7, 7, 14, … in place of seconds."""
    rows = drawn(rng, 200, 120, 3_000)
    return rows.sort(TIME).with_columns((pl.int_range(pl.len()) // 2 * 7).alias(TIME))


def times_that_run_backwards(rng: np.random.Generator) -> pl.DataFrame:
    return drawn(rng, 200, 120, 3_000).sort(TIME, descending=True)


SHAPES = [
    one_giant_component,
    thousands_of_components,
    a_user_with_half_of_all_rows,
    an_item_that_everybody_has,
    items_of_one_row_each,
    all_rows_of_one_second,
    three_users,
    one_long_history,
    times_on_some_rows,
    an_order_with_gaps_and_repeats,
    times_that_run_backwards,
]


def configured(folder: Path, log: pl.DataFrame, split: str, timed: bool = True) -> Path:
    log.write_parquet(folder / "log.parquet")
    time = f'time_col = "{TIME}"' if timed else ""
    text = QUICK.format(log=folder / "log.parquet", time=time, split=split)
    config = folder / "odd.toml"
    config.write_text(text)
    return config


@pytest.mark.parametrize("shape", SHAPES)
def test_a_log_of_any_shape_ends_with_a_bundle_that_answers(
    shape: Callable[[np.random.Generator], pl.DataFrame], tmp_path: Path, call: Call
) -> None:
    log = shape(np.random.default_rng(7))
    config = configured(tmp_path, log, 'method = "last_share"')
    called = call("run", config, "--out", tmp_path / "run", "--force", "--quiet")
    assert called.code == 0, called.err
    bundle = Bundle.load(tmp_path / "run" / "bundle")
    users = log[USER].unique(maintain_order=True).tail(3).to_list()
    lists = Lookup(bundle).recommend(users, 5)
    # Rows without a time are dropped, and counted.
    seen = dict(log.drop_nulls().group_by(USER).agg(pl.col(ITEM)).rows())
    for user, answer in zip(users, lists, strict=True):
        ids = [item["id"] for item in answer["items"]]
        assert ids and len(set(ids)) == len(ids)
        assert not set(ids) & set(seen[user])
        assert all(np.isfinite(item["score"]) for item in answer["items"])


def test_a_test_without_a_warm_user_is_refused_with_what_to_change(
    tmp_path: Path, call: Call
) -> None:
    """Whoever comes after the cut comes once, and was never there before."""
    rng = np.random.default_rng(3)
    late = frame(
        1_000 + np.arange(600), rng.integers(0, 60, 600), 1_700_000_000 + np.arange(600) * DAY
    )
    log = pl.concat([drawn(rng, 100, 60, 1_000), late])
    config = configured(tmp_path, log, 'method = "global_time"\ntest_share = 0.1')
    called = call("run", config, "--out", tmp_path / "run", "--quiet")
    assert called.code == 1, called.err
    assert "warm" in called.err and "split." in called.err
    # The remedy.
    config.write_text(config.read_text().replace("global_time", "last_share"))
    called = call("run", config, "--out", tmp_path / "run", "--force", "--quiet")
    assert called.code == 0, called.err

import numpy as np
import polars as pl
import pytest

from recsys.core.tables import BEHAVIOR, ITEM_ID, LOG_SCHEMA, TIME, USER_ID
from recsys.logs.synthetic import checkerboard, communities, large_log


def test_checkerboard_by_hand():
    log = checkerboard(3, 3)
    assert log.select(USER_ID, ITEM_ID).rows() == [("u0", "i2"), ("u2", "i0")]
    assert checkerboard().group_by(USER_ID).len()["len"].unique().to_list() == [9]


@pytest.mark.parametrize("behaviors", [(), ("view",), ("view", "cart", "buy")])
def test_communities_are_reproducible_and_typed(behaviors):
    world = communities(behaviors=behaviors, seed=3)
    assert world.log.equals(communities(behaviors=behaviors, seed=3).log)
    assert not world.log.equals(communities(behaviors=behaviors, seed=4).log)
    assert dict(world.log.schema) == {
        k: v for k, v in LOG_SCHEMA.items() if k != BEHAVIOR or behaviors
    }
    assert set(world.log[ITEM_ID]) <= set(world.items[ITEM_ID])


def test_most_events_stay_inside_the_community():
    world = communities(inside=0.9)
    user = world.log[USER_ID].str.slice(1).cast(pl.Int64).to_numpy()
    item = world.log[ITEM_ID].str.slice(1).cast(pl.Int64).to_numpy()
    share = np.mean(world.user_group[user] == world.item_group[item])
    assert 0.88 < share < 0.96


def test_every_last_behavior_has_an_earlier_first_one():
    log = communities(behaviors=("view", "buy")).log
    buys = log.filter(pl.col(BEHAVIOR) == "buy").with_columns(pl.col(TIME) - 3600)
    views = log.filter(pl.col(BEHAVIOR) == "view")
    assert len(buys) > 0
    assert len(buys.join(views, on=[USER_ID, ITEM_ID, TIME], how="anti")) == 0


def test_large_log_has_the_rows_files_and_duplicates_asked_for(tmp_path):
    paths = large_log(tmp_path, rows=10_001, users=1000, items=100, files=3, seed=1)
    frame = pl.concat([pl.read_parquet(path) for path in paths])
    assert len(paths) == 3 and len(frame) == 10_001
    copies = len(frame) - len(frame.unique())
    assert 190 <= copies <= 220
    assert frame[USER_ID].n_unique() > 500

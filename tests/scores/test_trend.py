"""Recent popularity: counted by hand, and popular for everybody only where that is what is
taken next.
"""

from dataclasses import replace

import numpy as np
import pytest

from fashion import fashion
from recsys.core.history import user_histories
from recsys.core.interactions import Interactions
from recsys.scores.most_popular import choose_popularity, item_popularity
from recsys.scores.recency import half_lives_days
from recsys.scores.terms.item_item import freshness
from recsys.scores.terms.trend import trending
from worlds import make_interactions

DAY = 86_400


def test_the_trend_by_hand(tmp_path):
    phase = fashion(tmp_path, "global_time")
    log = phase.interactions
    now = np.sort(log.time)[int(0.999 * (len(log) - 1))]
    late = 2.0 ** (-(now - np.minimum(log.time, now)) / (3 * 86_400))
    counts = np.array([late[log.item == item].sum() for item in range(log.num_items)])
    assert trending(log, phase.target, 3.0) == pytest.approx(
        np.log(1 + 10 * counts / counts.mean()), rel=1e-5
    )


def test_a_row_of_the_far_future_does_not_make_a_trend(tmp_path):
    log = fashion(tmp_path, "global_time").interactions
    time = log.time.copy()
    time[0] += 10**9
    plain, stray = (trending(one, "interaction", 3.0) for one in (log, replace(log, time=time)))
    assert np.corrcoef(plain, stray)[0, 1] > 0.99


def bought(users: list[int], items: list[int], days: list[int]) -> Interactions:
    """Buys, and a view long after them."""
    return replace(
        make_interactions(),
        user=np.array([*users, 0], np.int32),
        item=np.array([*items, 7], np.int32),
        behavior=np.array([*(1 for _ in users), 0], np.int16),
        weight=np.ones(len(users) + 1, np.float32),
        time=np.array([*days, 90]) * DAY,
    )


def test_shares_of_late_by_hand() -> None:
    """Ten days a half-life, twenty days ago a quarter; a user counts like the latest of theirs."""
    found = item_popularity(
        user_histories(bought([0, 0, 1, 1], [5, 6, 5, 6], [0, 10, 20, 20])), "buy", 10.0
    )
    assert found.pairs.toarray()[:2, 5:8] == pytest.approx(np.array([[0.25, 0.5, 0], [1, 1, 0]]))
    assert found.users[:3] == pytest.approx([0.5, 1, 0])
    assert found.shares[5:8] == pytest.approx([1.25 / 1.5, 1, 0])


def test_freshness_by_hand() -> None:
    """Item 5 was taken twenty days ago and now, item 6 ten days ago and now; nobody bought item 7."""
    found = freshness(bought([0, 0, 1, 1], [5, 6, 5, 6], [0, 10, 20, 20]), "buy", 10.0)
    assert found[5:8] == pytest.approx([1.25 / 2, 1.5 / 2, 0.0])


def test_shares_of_all_time_are_of_all_users() -> None:
    log = make_interactions()
    assert item_popularity(user_histories(log), "buy").shares == pytest.approx(
        log.popularity("buy") / log.num_users
    )


def test_of_a_repeated_pair_the_latest_counts() -> None:
    found = item_popularity(
        user_histories(bought([0, 0, 1, 1], [5, 5, 6, 6], [0, 10, 10, 10])), "buy", 10.0
    )
    assert found.pairs.toarray()[:2, 5:7] == pytest.approx(np.eye(2))


def test_nobody_took_anything() -> None:
    assert not item_popularity(user_histories(bought([], [], [])), "buy", 10.0).shares.any()


def test_what_is_popular_of_late_where_fashions_change(tmp_path) -> None:
    phase = fashion(tmp_path, "global_time")
    found = choose_popularity(phase)
    assert found.half_life_days in half_lives_days(phase)
    assert found.tried[found.half_life_days] == max(found.tried.values()) > 2 * found.tried[None]


@pytest.mark.parametrize(("method", "blend"), [("random", {}), ("global_time", {"trend": False})])
def test_and_of_all_time_elsewhere(tmp_path, method, blend) -> None:
    found = choose_popularity(fashion(tmp_path, method, **blend))
    assert found.half_life_days is None and set(found.tried) == {None}

"""Small interactions for the graph tests."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions

Rows = Sequence[tuple]


def make_interactions(
    pairs: Rows,
    num_users: int | None = None,
    num_items: int | None = None,
    *,
    behavior: Sequence[str] | None = None,
    behaviors: tuple[str, ...] = ("interaction",),
    weight: Sequence[float] | None = None,
    time: Sequence[int] | None = None,
) -> Interactions:
    """Interactions of (user, item) pairs; ids are "u0", "u1", … and "i0", …"""
    user = np.array([pair[0] for pair in pairs], np.int32)
    item = np.array([pair[1] for pair in pairs], np.int32)
    users = num_users if num_users is not None else int(user.max()) + 1
    items = num_items if num_items is not None else int(item.max()) + 1
    names = behavior or [behaviors[0]] * len(user)
    return Interactions(
        user=user,
        item=item,
        weight=np.array(weight, np.float32)
        if weight is not None
        else np.ones(len(user), np.float32),
        time=None if time is None else np.array(time, np.int64),
        behavior=np.array([behaviors.index(name) for name in names], np.int16),
        behaviors=behaviors,
        users=IdMap(pl.Series([f"u{one}" for one in range(users)], dtype=pl.String), "user"),
        items=IdMap(pl.Series([f"i{one}" for one in range(items)], dtype=pl.String), "item"),
        user_codes=np.arange(users, dtype=np.int32),
        item_codes=np.arange(items, dtype=np.int32),
    )


@pytest.fixture(scope="session")
def interactions_of() -> Callable[..., Interactions]:
    return make_interactions

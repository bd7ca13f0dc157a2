"""Slices by hand: which pairs they hold, and the line that names the worst."""

import numpy as np
import polars as pl
from scipy import sparse

from recsys.core.ids import IdMap
from recsys.core.interactions import HeldOut, Interactions, fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, USER, Drops
from recsys.evaluate.document import SliceRow
from recsys.evaluate.lists import catalogue_of
from recsys.evaluate.slices import cold_rows, slice_rows, slices_of, worst_slice


def shop() -> tuple[Interactions, sparse.csr_matrix]:
    """Four users bought 1, 2, 2, 3 of ten items; user 3 also viewed item 9. Each has one or two
    items held out.
    """
    bought = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
    viewed = [(3, 9), *[(0, item) for item in range(3, 9)]]
    rows = pl.DataFrame(
        {
            USER: [user for user, _ in bought + viewed],
            ITEM: [item for _, item in bought + viewed],
            BEHAVIOR: ["buy"] * len(bought) + ["view"] * len(viewed),
        },
        schema_overrides={USER: pl.Int32, ITEM: pl.Int32},
    )
    ids = IdMap(pl.Series([str(n) for n in range(10)]))
    held = sparse.csr_matrix(
        (np.ones(5, np.float32), ([0, 1, 2, 3, 3], [1, 2, 2, 8, 9])), shape=(4, 10)
    )
    return fit_interactions(rows, ids, ids, ("buy", "view")), held


def pairs(matrix: sparse.csr_matrix) -> set[tuple[int, int]]:
    rows, columns = matrix.nonzero()
    return {(int(row), int(column)) for row, column in zip(rows, columns, strict=True)}


def test_slices_by_hand() -> None:
    train, held = shop()
    found = {
        (one.group, one.label): pairs(one.held_out)
        for one in slices_of(train, held, "buy", catalogue_of(train, "buy"))
    }
    assert found == {
        ("history length", "1–2 interactions"): {(0, 1), (1, 2), (2, 2)},
        ("history length", "3 interactions"): {(3, 8), (3, 9)},
        ("item popularity", "top 10 % of items"): set(),  # item 0, known to all
        ("item popularity", "next 40 % of items"): {(0, 1), (1, 2), (2, 2)},
        ("item popularity", "bottom 50 % of items"): {(3, 8), (3, 9)},
        ("behaviour", "pair with view in train"): {(3, 9)},
        ("behaviour", "new pair"): {(0, 1), (1, 2), (2, 2), (3, 8)},
    }


def test_each_group_splits_the_test() -> None:
    train, held = shop()
    by_group: dict[str, list] = {}
    for one in slices_of(train, held, "buy", catalogue_of(train, "buy")):
        by_group.setdefault(one.group, []).extend(pairs(one.held_out))
    for members in by_group.values():
        assert sorted(members) == sorted(pairs(held))


def test_rows_hold_the_metric_of_the_slice() -> None:
    train, held = shop()
    ranked = np.array([[1, 2], [3, 2], [4, 5], [9, 7]], np.int32)
    rows = slice_rows(
        slices_of(train, held, "buy", catalogue_of(train, "buy")),
        {"m": ranked},
        np.arange(4, dtype=np.int32),
        "recall@2",
    )
    values = {row.label: row.values["m"] for row in rows}
    assert values == {
        "1–2 interactions": 2 / 3,
        "3 interactions": 1 / 2,
        "next 40 % of items": 2 / 3,
        "bottom 50 % of items": 1 / 2,
        "pair with view in train": 1.0,
        "new pair": (1 + 1 + 0 + 0) / 4,
    }
    assert all(row.small for row in rows)
    assert {row.label: row.hit_rates for row in rows if row.hit_rates} == {
        "pair with view in train": {"m": 1.0},
        "new pair": {"m": 2 / 4},
    }


def test_two_behaviours_have_a_slice_together() -> None:
    rows = pl.DataFrame(
        {USER: [0, 0, 0], ITEM: [0, 1, 2], BEHAVIOR: ["buy", "view", "cart"]},
        schema_overrides={USER: pl.Int32, ITEM: pl.Int32},
    )
    ids = IdMap(pl.Series(["a", "b", "c", "d"]))
    train = fit_interactions(rows, ids, ids, ("buy", "view", "cart"))
    held = sparse.csr_matrix(np.array([[0, 1, 1]], np.float32))
    found = {
        one.label: pairs(one.held_out)
        for one in slices_of(train, held, "buy", catalogue_of(train, "buy"))
    }
    assert found["pair with any of them in train"] == {(0, 1), (0, 2)}
    assert found["new pair"] == set()


def row(label: str, value: float, users: int = 500, small: bool = False) -> SliceRow:
    return SliceRow(
        group="g", label=label, users=users, rows=users, values={"m": value}, small=small
    )


def test_worst_slice_ignores_small_ones() -> None:
    rows = [row("good", 0.3), row("bad", 0.1), row("tiny", 0.0, users=3, small=True)]
    line = worst_slice(rows, "m", 0.2, "ndcg@10")
    assert line == "Worst slice: g, bad (500 users): NDCG@10 0.1000, 50% of the overall 0.2000."
    assert (
        worst_slice(rows[2:], "m", 0.2, "ndcg@10")
        == "No slice has 100 test users, too few to name the worst."
    )


def test_cold_rows_are_counted() -> None:
    empty = np.empty(0, np.int32)
    held = HeldOut(empty, empty, Drops({"cold user": 7, "cold item": 2}), pl.DataFrame())
    assert [(one.label, one.rows, one.values) for one in cold_rows(held)] == [
        ("cold users' rows", 7, {}),
        ("cold items' rows", 2, {}),
    ]


def test_sparse_users_and_items_are_slices_where_others_are_not() -> None:
    from recsys.evaluate.slices import SPARSE, _sparse

    pairs = sparse.csr_matrix(
        np.tril(np.ones((8, 8), np.float32))
    )  # user n has n + 1 items, item n has 8 − n users
    held_out = sparse.csr_matrix(np.eye(8, dtype=np.float32))
    users, items = _sparse(pairs, held_out)
    assert np.flatnonzero(np.diff(users.held_out.indptr)).tolist() == list(range(SPARSE))
    assert np.flatnonzero(items.held_out.toarray().any(axis=0)).tolist() == [3, 4, 5, 6, 7]
    assert list(_sparse(pairs[:3], held_out[:3])) == []

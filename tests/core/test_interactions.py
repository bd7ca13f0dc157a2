import numpy as np
import polars as pl

from recsys.core.ids import IdMap
from recsys.core.interactions import dense_of, fit_interactions, hold_out
from recsys.core.tables import BEHAVIOR, ITEM, USER, WEIGHT

USERS = IdMap(pl.Series(["a", "b", "c", "d"]), "user")
ITEMS = IdMap(pl.Series(["p", "q", "r", "s", "t"]), "item")
TRAIN = pl.DataFrame(
    {
        USER: [0, 0, 2, 2],
        ITEM: [1, 3, 1, 4],
        BEHAVIOR: ["buy", "view", "buy", "buy"],
        WEIGHT: [1.0, 2.0, 3.0, 4.0],
    },
    schema_overrides={USER: pl.Int32, ITEM: pl.Int32, WEIGHT: pl.Float32},
)


def test_dense_ids_are_fitted_on_the_rows_alone() -> None:
    fitted = fit_interactions(TRAIN, USERS, ITEMS, ("buy", "view"))
    assert fitted.users.ids.to_list() == ["a", "c"]
    assert fitted.items.ids.to_list() == ["q", "s", "t"]
    assert fitted.user.tolist() == [0, 0, 1, 1]
    assert fitted.item.tolist() == [0, 1, 0, 2]


def test_matrix_by_behaviour_and_weight() -> None:
    fitted = fit_interactions(TRAIN, USERS, ITEMS, ("buy", "view"))
    assert fitted.matrix(("buy",)).toarray().tolist() == [[1, 0, 0], [1, 0, 1]]
    assert fitted.matrix(weighted=True).toarray().tolist() == [[1, 2, 0], [3, 0, 4]]
    assert fitted.of("return").sum() == 0


def test_held_out_rows_that_are_cold_are_counted_and_kept_apart() -> None:
    fitted = fit_interactions(TRAIN, USERS, ITEMS, ("buy", "view"))
    rows = pl.DataFrame(
        {USER: [0, 0, 1, 2, 2], ITEM: [4, 4, 1, 0, 3]}, schema={USER: pl.Int32, ITEM: pl.Int32}
    )
    held = hold_out(rows, fitted)
    assert (held.user.tolist(), held.item.tolist()) == ([0, 1], [2, 1])
    assert held.dropped == {"cold user": 1, "cold item": 1}
    assert held.cold.rows() == [(1, 1), (2, 0)]
    assert held.matrix(2, 3).toarray().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_dense_of_nothing_fitted() -> None:
    assert dense_of(np.array([1, 2]), np.array([], np.int32)).tolist() == [-1, -1]

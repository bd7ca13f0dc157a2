"""The normalised matrix, and the start states made of its singular vectors."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.closed_form.spectral import normalised, start_states
from recsys.closed_form.svd import truncated_svd
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import ITEM, USER


def test_normalised_by_hand() -> None:
    matrix = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    expected = np.array([[1 / 2, 1 / np.sqrt(2), 0], [1 / np.sqrt(2), 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(normalised(matrix).toarray(), expected)
    by_user_alone = np.array([[1 / 2, 1 / 2, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(normalised(matrix, 1.0, 0.0).toarray(), by_user_alone)


@pytest.mark.parametrize("small_entries", [0, 10**6])
@pytest.mark.parametrize("dense_side", [0, 10**6])
def test_start_states(monkeypatch: pytest.MonkeyPatch, small_entries: int, dense_side: int) -> None:
    monkeypatch.setattr("recsys.closed_form.svd._SMALL_ENTRIES", small_entries)
    monkeypatch.setattr("recsys.closed_form.eigenvectors._DENSE_SIDE", dense_side)
    draw = np.random.default_rng(2)
    rows = pl.DataFrame(
        {
            USER: draw.integers(0, 50, 600),
            ITEM: draw.integers(0, 30, 600),
            "behavior": ["buy"] * 599 + ["view"],
        },
        schema_overrides={USER: pl.Int32, ITEM: pl.Int32},
    ).with_columns(
        pl.when(pl.col("behavior") == "view")
        .then(50)
        .otherwise(pl.col(USER))
        .cast(pl.Int32)
        .alias(USER)
    )
    ids = IdMap(pl.Series([f"{n:02}" for n in range(51)]))
    train = fit_interactions(rows, ids, ids, ("buy", "view"))
    states = start_states(train, "buy", 8, seed=1)
    factors = truncated_svd(normalised(train.matrix(("buy",))), 8)
    low_rank = factors.left * factors.values @ factors.right.T
    product = states["user"][:50] @ states["item"].T
    assert np.corrcoef(product.ravel(), low_rank[:50].ravel())[0, 1] > 0.99999
    entries = np.concatenate([states["user"][:50].ravel(), states["item"].ravel()])
    assert 0.09 < np.sqrt((entries**2).mean()) < 0.11
    assert 1e-4 < np.abs(states["user"][50]).max() < 0.01  # viewed only: a small draw, not zero
    again = start_states(train, "buy", 8, seed=1)
    assert (
        states["user"].tobytes() == again["user"].tobytes() and states["user"].dtype == np.float32
    )


def test_start_states_wider_than_the_rank() -> None:
    rows = pl.DataFrame({USER: [0, 1, 1], ITEM: [0, 0, 1]}, schema={USER: pl.Int32, ITEM: pl.Int32})
    ids = IdMap(pl.Series(["a", "b"]))
    states = start_states(fit_interactions(rows, ids, ids, ("buy",)), "buy", 6)
    assert states["user"].shape == states["item"].shape == (2, 6)
    assert (states["item"] != 0).all()


@pytest.mark.parametrize("behaviors", [["buy"], ["view"]])
def test_start_states_of_one_pair_or_none(behaviors: list[str]) -> None:
    rows = pl.DataFrame(
        {USER: [0], ITEM: [0], "behavior": behaviors},
        schema={USER: pl.Int32, ITEM: pl.Int32, "behavior": pl.String},
    )
    ids = IdMap(pl.Series(["a"]))
    states = start_states(fit_interactions(rows, ids, ids, ("buy", "view")), "buy", 4)
    for table in states.values():
        assert np.isfinite(table).all() and (table != 0).all() and table.shape == (1, 4)

"""Truncated SVD: exact, signed, repeatable; and the start states made of it."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.closed_form.spectral import normalised, start_states, truncated_svd
from recsys.core.errors import UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import ITEM, USER


def random_matrix(
    rows: int, columns: int, density: float = 0.05, seed: int = 1
) -> sparse.csr_matrix:
    return sparse.random(
        rows, columns, density, format="csr", rng=np.random.default_rng(seed), dtype=np.float64
    )


@pytest.fixture
def lanczos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices go the way of large ones."""
    monkeypatch.setattr("recsys.closed_form.spectral._DENSE_ENTRIES", 0)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
@pytest.mark.parametrize("dense_entries", [0, 10**6])
def test_equals_the_dense_svd(
    shape: tuple[int, int], dense_entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.closed_form.spectral._DENSE_ENTRIES", dense_entries)
    matrix = random_matrix(*shape)
    factors = truncated_svd(matrix, 12)
    left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    np.testing.assert_allclose(factors.values, values[:12], rtol=1e-9)
    np.testing.assert_allclose(np.abs((factors.right * right[:12].T).sum(axis=0)), 1, atol=1e-7)
    np.testing.assert_allclose(np.abs((factors.left * left[:, :12]).sum(axis=0)), 1, atol=1e-7)


@pytest.mark.usefixtures("lanczos")
def test_largest_entry_of_every_right_vector_is_positive() -> None:
    right = truncated_svd(random_matrix(300, 200), 8).right
    assert (right[np.abs(right).argmax(axis=0), np.arange(8)] > 0).all()


@pytest.mark.usefixtures("lanczos")
def test_same_bytes_again_and_at_any_number_of_threads() -> None:
    matrix = random_matrix(700, 500)
    first = truncated_svd(matrix, 8, seed=5)
    with threadpool_limits(2):
        second = truncated_svd(matrix, 8, seed=5)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(first, second, strict=True))


def test_rank_is_lowered_to_what_there_is() -> None:
    assert len(truncated_svd(random_matrix(7, 5, 0.9), 64).values) == 5
    assert len(truncated_svd(random_matrix(1, 1, 1.0), 64).values) == 1


@pytest.mark.usefixtures("lanczos")
def test_a_large_matrix_gives_all_but_one() -> None:
    assert len(truncated_svd(random_matrix(30, 20, 0.5), 64).values) == 19


def test_rank_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="rank = 0"):
        truncated_svd(random_matrix(5, 5), 0)


def test_normalised_by_hand() -> None:
    matrix = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    expected = np.array([[1 / 2, 1 / np.sqrt(2), 0], [1 / np.sqrt(2), 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(normalised(matrix).toarray(), expected)
    by_user_alone = np.array([[1 / 2, 1 / 2, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(normalised(matrix, 1.0, 0.0).toarray(), by_user_alone)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 100))
def test_full_rank_gives_the_matrix_back(rows: int, columns: int, seed: int) -> None:
    matrix = random_matrix(rows, columns, 0.6, seed)
    left, values, right = truncated_svd(matrix, min(rows, columns))
    np.testing.assert_allclose(left * values @ right.T, matrix.toarray(), atol=1e-9)


@pytest.mark.parametrize("dense_entries", [0, 10**6])
def test_start_states(monkeypatch: pytest.MonkeyPatch, dense_entries: int) -> None:
    monkeypatch.setattr("recsys.closed_form.spectral._DENSE_ENTRIES", dense_entries)
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

"""Truncated SVD: exact, signed, repeatable, and at an end whatever the matrix."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.closed_form import eigenvectors
from recsys.closed_form.low_pass import low_pass
from recsys.closed_form.spectral import normalised
from recsys.closed_form.svd import Factors, truncated_svd
from recsys.core.errors import UsageError
from recsys.core.progress import QUIET

Lanczos = Callable[..., tuple[np.ndarray, bool]]
WAYS = ("small", "dense", "lanczos", "block")


def random_matrix(
    rows: int, columns: int, density: float = 0.05, seed: int = 1
) -> sparse.csr_matrix:
    return sparse.random(
        rows, columns, density, format="csr", rng=np.random.default_rng(seed), dtype=np.float64
    )


def go(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices of any size go one way."""
    monkeypatch.setattr("recsys.closed_form.svd._SMALL_ENTRIES", 10**9 if way == "small" else 0)
    monkeypatch.setattr(eigenvectors, "_DENSE_SIDE", 10**9 if way == "dense" else 0)
    if way == "block":
        monkeypatch.setattr(eigenvectors, "_CYCLES", 1)
        monkeypatch.setattr(eigenvectors, "_lanczos", without_end(eigenvectors._lanczos))


def without_end(lanczos: Lanczos) -> Lanczos:
    """Lanczos that never says that it converged."""

    def unconverged(*args: Any) -> tuple[np.ndarray, bool]:
        return lanczos(*args)[0], False

    return unconverged


def joined(blocks: int, bridges: int = 0) -> sparse.csr_matrix:
    """Communities of 6 users and 4 items, all alike; `bridges` items that every user has."""
    community = np.array(
        [[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1]] + [[1, 0, 0, 1]] * 2
    )
    apart = sparse.block_diag([community] * blocks)
    return sparse.hstack([apart, np.ones((6 * blocks, bridges))], format="csr")


def low_rank(factors: Factors) -> np.ndarray:
    return factors.left * factors.values @ factors.right.T


def assert_factors_of(matrix: sparse.csr_matrix, factors: Factors, tolerance: float = 1e-8) -> None:
    """Singular triplets of the matrix, orthonormal, and the largest."""
    left, values, right = factors
    identity = np.eye(len(values))
    np.testing.assert_allclose(left.T @ left, identity, atol=1e-9)
    np.testing.assert_allclose(right.T @ right, identity, atol=1e-9)
    np.testing.assert_allclose(matrix @ right, left * values, atol=tolerance)
    np.testing.assert_allclose(matrix.T @ left, right * values, atol=tolerance)
    true_values = np.linalg.svd(matrix.toarray(), compute_uv=False)
    np.testing.assert_allclose(values, true_values[: len(values)], atol=1e-9)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
@pytest.mark.parametrize("way", WAYS)
def test_equals_the_dense_svd(
    shape: tuple[int, int], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(way, monkeypatch)
    matrix = random_matrix(*shape)
    factors = truncated_svd(matrix, 12)
    left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    np.testing.assert_allclose(factors.values, values[:12], rtol=1e-9)
    np.testing.assert_allclose(np.abs((factors.right * right[:12].T).sum(axis=0)), 1, atol=1e-7)
    np.testing.assert_allclose(np.abs((factors.left * left[:, :12]).sum(axis=0)), 1, atol=1e-7)


@pytest.mark.parametrize("way", WAYS)
def test_largest_entry_of_every_right_vector_is_positive(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(way, monkeypatch)
    right = truncated_svd(random_matrix(300, 200), 8).right
    assert (right[np.abs(right).argmax(axis=0), np.arange(8)] > 0).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("matrix", [random_matrix(700, 500), normalised(joined(60, 1))])
def test_same_bytes_again_and_at_any_number_of_threads(
    matrix: sparse.csr_matrix, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(way, monkeypatch)
    first = truncated_svd(matrix, 8, seed=5)
    with threadpool_limits(2):
        second = truncated_svd(matrix, 8, seed=5)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(first, second, strict=True))


def test_rank_is_lowered_to_what_there_is() -> None:
    assert len(truncated_svd(random_matrix(7, 5, 0.9), 64).values) == 5
    assert len(truncated_svd(random_matrix(1, 1, 1.0), 64).values) == 1


@pytest.mark.parametrize("way", WAYS)
def test_all_vectors_of_a_matrix_can_be_asked_for(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(way, monkeypatch)
    matrix = random_matrix(30, 20, 0.5)
    factors = truncated_svd(matrix, 64)
    assert len(factors.values) == 20
    np.testing.assert_allclose(low_rank(factors), matrix.toarray(), atol=1e-9)


def test_rank_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="rank = 0"):
        truncated_svd(random_matrix(5, 5), 0)


@settings(max_examples=30)
@given(
    st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.1, 0.2, 0.6]), st.integers(0, 100)
)
def test_full_rank_gives_the_matrix_back(
    rows: int, columns: int, density: float, seed: int
) -> None:
    """Also where it falls apart into components, or has empty rows and columns."""
    matrix = random_matrix(rows, columns, density, seed)
    factors = truncated_svd(matrix, min(rows, columns))
    np.testing.assert_allclose(low_rank(factors), matrix.toarray(), atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rank", [40, 150])
def test_a_singular_value_of_many_components(
    way: str, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 70 components has the value 1: all of them come, or as many as are asked for."""
    go(way, monkeypatch)
    matrix = normalised(joined(70))
    factors = truncated_svd(matrix, rank)
    assert (factors.values > 1 - 1e-9).sum() == min(rank, 70)
    assert_factors_of(matrix, factors)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rank", [10, 64, 100])
def test_repeated_values_of_one_component(
    way: str, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item that everybody has joins 70 equal communities: one component, values 69 times."""
    go(way, monkeypatch)
    matrix = normalised(joined(70, bridges=1))
    assert_factors_of(matrix, truncated_svd(matrix, rank))


def test_what_lanczos_missed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a value 69 times an iteration from one vector may show a few, and smaller ones instead."""
    go("lanczos", monkeypatch)
    matrix = normalised(joined(70, bridges=1))
    gram = (matrix.T @ matrix).toarray()
    rank = 20
    not_the_largest = np.linalg.eigh(gram)[1][:, -100 : -100 + rank]
    monkeypatch.setattr(eigenvectors, "_lanczos", lambda *_: (not_the_largest, True))
    assert_factors_of(matrix, truncated_svd(matrix, rank))


def test_a_spectrum_without_gaps_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of users who share one item with the next: Lanczos runs out of cycles."""
    go("lanczos", monkeypatch)
    users = np.repeat(np.arange(600), 2)
    items = np.stack([np.arange(600), np.arange(600) + 1], axis=1).ravel()
    matrix = normalised(sparse.csr_matrix((np.ones(1200), (users, items))))
    monkeypatch.setattr(eigenvectors, "_CYCLES", 3)
    tall = matrix.T.tocsr()
    _, has_converged = eigenvectors._lanczos(tall, 30, 0, QUIET, eigenvectors.TO_ROUNDING)
    assert not has_converged
    assert_factors_of(matrix, truncated_svd(matrix, 30), tolerance=1e-6)


@pytest.mark.parametrize("way", ["lanczos", "block"])
def test_less_exact_vectors_span_nearly_the_same_in_fewer_products(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(way, monkeypatch)
    matrix = CountedMatrix(random_matrix(600, 400))
    rank = 20
    vectors = {}
    products = {}
    for residual in (eigenvectors.TO_ROUNDING, 1e-4):
        before = matrix.products
        vectors[residual] = eigenvectors.largest_eigenvectors(matrix, rank, 0, QUIET, residual)
        products[residual] = matrix.products - before
    exact, less_exact = vectors.values()
    cosines = np.linalg.svd(exact.T @ less_exact, compute_uv=False)
    assert cosines.min() > 0.99
    assert products[1e-4] < 0.8 * products[eigenvectors.TO_ROUNDING]


class CountedMatrix(sparse.csr_matrix):
    """Counts what it is multiplied with."""

    products = 0

    def __matmul__(self, other: Any) -> Any:
        self.products += 1
        return super().__matmul__(other)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("dense", "num_values"),
    [
        (np.ones((40, 30)), 1),
        (np.ones((1, 30)), 1),
        (np.ones((40, 1)), 1),
        (np.eye(12), 12),
        (np.kron(np.eye(3), np.ones((5, 4))), 3),
        (np.outer([1, 0, 2, 0, 3], [0, 1, 1]), 1),
        (np.zeros((5, 4)), 0),
        (np.zeros((0, 4)), 0),
        (np.zeros((4, 0)), 0),
    ],
)
def test_matrices_of_low_rank(
    dense: np.ndarray, num_values: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of 0, whose vectors would be arbitrary, do not come."""
    go(way, monkeypatch)
    matrix = sparse.csr_matrix(dense)
    factors = truncated_svd(matrix, 5)
    assert len(factors.values) == min(num_values, 5)
    assert factors.left.shape == (dense.shape[0], len(factors.values))
    assert factors.right.shape == (dense.shape[1], len(factors.values))
    if num_values <= 5:
        np.testing.assert_allclose(low_rank(factors), dense, atol=1e-9)


def test_explicit_zeros_join_nothing() -> None:
    matrix = sparse.csr_matrix((np.array([2.0, 0.0, 1.0]), ([0, 0, 1], [0, 1, 1])))
    factors = truncated_svd(matrix, 2)
    assert factors.right.tolist() == [[1, 0], [0, 1]] and factors.values.tolist() == [2, 1]


def test_of_equal_values_those_of_larger_components_come_first() -> None:
    """Pairs of a user and an item, and last of all a community of 3 users and items."""
    matrix = normalised(sparse.block_diag([np.eye(50), np.ones((3, 3))], format="csr"))
    factors = truncated_svd(matrix, 4)
    assert factors.right[-3:, 0] == pytest.approx(3**-0.5)
    assert factors.right[:3, 1:].tolist() == np.eye(3).tolist()


def test_thousands_of_components_are_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components of equal shape are decomposed at once; 20,000 of them take a second."""
    calls = 0
    svd_of = np.linalg.svd

    def counted(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        return svd_of(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(np.linalg, "svd", counted)
    pairs = sparse.identity(19_000, format="csr")
    matrix = normalised(sparse.block_diag([pairs, joined(1_000)], format="csr"))
    factors = truncated_svd(matrix, 512)
    assert (factors.values > 1 - 1e-9).all() and len(factors.values) == 512
    assert calls == 2


def test_the_low_pass_of_components_keeps_whole_components() -> None:
    """With a vector each, a history lends only to items of its own component."""
    matrix = joined(30)
    into, back = low_pass(matrix, 30)
    kept = into @ back.T
    same_community = np.kron(np.eye(30), np.ones((4, 4))) > 0
    assert (kept[same_community] > 0.1).all()
    assert np.abs(kept[~same_community]).max() < 1e-7


class Heard:
    """Remembers the labels of bars."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def say(self, message: str, **fields: object) -> None:
        pass

    def track(self, things: Iterable[int], label: str, total: int | None = None) -> Iterator[int]:
        self.labels.append(label)
        yield from things


def test_what_may_take_long_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    go("block", monkeypatch)
    heard = Heard()
    low_pass(random_matrix(400, 300), 12, progress=heard)
    assert heard.labels == ["singular vectors", "singular vectors, filtered"]

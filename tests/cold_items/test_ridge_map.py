"""The map from attributes to vectors: against the normal equations, and what it promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.cold_items.ridge_map import ridge_map


def made(seed, items=60, values=7, width=4, noise=0.0):
    rng = np.random.default_rng(seed)
    features = sparse.csr_matrix((rng.random((items, values)) < 0.4).astype(np.float32))
    vectors = features @ rng.normal(size=(values, width)) + noise * rng.normal(size=(items, width))
    return features, vectors.astype(np.float32)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0, 3))
def test_it_solves_the_normal_equations(seed, noise):
    features, vectors = made(seed, noise=noise)
    found = ridge_map(features, vectors)
    there = np.diff(features.indptr) > 0
    x, z = features[there].toarray().astype(np.float64), vectors[there].astype(np.float64)
    wanted = np.linalg.solve(x.T @ x + found.ridge * np.eye(x.shape[1]), x.T @ (z - z.mean(axis=0)))
    assert np.allclose(found.mean, z.mean(axis=0), atol=1e-5)
    assert np.allclose(found.weights, wanted, atol=1e-3)
    assert np.allclose(found.predict(features), z.mean(axis=0) + features @ wanted, atol=5e-3)


def test_by_hand_one_value_shrinks_towards_the_mean():
    """Two items with the value at 3, two with the other at 1: mean 2, and 2 / (2 + ridge) of the
    way to each.
    """
    features = sparse.csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32))
    found = ridge_map(features, np.array([[3.0], [3.0], [1.0], [1.0]], np.float32))
    pull = 2 / (2 + found.ridge)
    assert found.weights.ravel() == pytest.approx([pull, -pull], abs=1e-4)


def test_noise_asks_for_a_larger_ridge_and_says_so():
    clear, blurred = ridge_map(*made(1, items=400)), ridge_map(*made(1, items=400, noise=20.0))
    assert clear.ridge < blurred.ridge
    assert clear.likeness > 0.95 > blurred.likeness


def test_items_without_a_value_teach_nothing():
    features, vectors = made(2)
    more = sparse.vstack(
        [features, sparse.csr_matrix((5, features.shape[1]), dtype=np.float32)], format="csr"
    )
    found, other = (
        ridge_map(features, vectors),
        ridge_map(more, np.vstack([vectors, 100 * np.ones((5, 4), np.float32)])),
    )
    assert np.array_equal(found.weights, other.weights) and np.array_equal(found.mean, other.mean)

"""Search by cosine against a naive oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.ranking import NO_ITEM
from recsys.search.cosine import CosineSearch


def naive(vectors: np.ndarray, row: int, allow: np.ndarray) -> list[float]:
    """Cosines with all other allowed rows, best first."""
    found = []
    for other, vector in enumerate(vectors):
        if other != row and allow[other]:
            lengths = np.linalg.norm(vector) * np.linalg.norm(vectors[row])
            found.append(float(vector @ vectors[row] / lengths) if lengths else 0.0)
    return sorted(found, reverse=True)


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 15))
def test_cosines_are_those_of_the_oracle(seed: int, count: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, allow = rng.normal(size=(count, 3)).astype(np.float32), rng.random(count) < 0.8
    rows = rng.integers(0, count, 2).astype(np.int32)
    hits = CosineSearch(vectors).nearest(rows, k, allow)
    for place, row in enumerate(rows):
        wanted = naive(vectors, int(row), allow)[:k]
        kept = hits.items[place] != NO_ITEM
        assert kept.sum() == len(wanted)
        assert row not in hits.items[place]
        np.testing.assert_allclose(hits.scores[place][kept], wanted, atol=1e-5)


def test_by_hand() -> None:
    vectors = np.array([[2, 0], [3, 4], [0, 5], [0, 0]], np.float32)
    hits = CosineSearch(vectors).nearest(np.array([0], np.int32), 3)
    assert hits.items.tolist() == [[1, 2, 3]]
    assert hits.scores[0].tolist() == pytest.approx([0.6, 0, 0])

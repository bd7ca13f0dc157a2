"""List-level metrics by hand and against loops."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.core.ranking import NO_ITEM
from recsys.evaluate import lists
from recsys.evaluate.lists import Catalogue, diversity, gini, list_metrics

ATTRIBUTES = sparse.csr_matrix(
    np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32)
)


def test_by_hand() -> None:
    catalogue = Catalogue(np.array([8.0, 4.0, 2.0, 0.0]), num_users=8, attributes=ATTRIBUTES)
    found = list_metrics(np.array([[0, 1], [0, NO_ITEM], [2, 0]], np.int32), catalogue)
    assert found["coverage"] == 3 / 4
    # Items 0, 0, 0 known to all (0 bits), item 1 to half (1 bit), item 2 to a quarter (2 bits).
    assert found["novelty"] == pytest.approx((0 + 0 + 0 + 1 + 2) / 5)
    # Exposures 3 1 1 0, sorted 0 1 1 3: Σ (2i − n − 1)·x_i / (n·Σx) = (−1 + 1 + 9) / (4 · 5).
    assert found["gini"] == pytest.approx(9 / 20)
    assert found["popularity_share"] == pytest.approx(3 / 5)  # the top tenth of 4 items is item 0
    # List 0: {a, b} and {a}: 1 − 1/2. List 1 has no pair. List 2: {c} and {a, b}: 1.
    assert found["diversity"] == pytest.approx((0.5 + 1.0) / 2)


def test_without_attributes_there_is_no_diversity() -> None:
    assert "diversity" not in list_metrics(np.array([[0]], np.int32), Catalogue(np.ones(2), 2))


def test_nothing_shown() -> None:
    found = list_metrics(np.full((2, 3), NO_ITEM, np.int32), Catalogue(np.ones(4), 2, ATTRIBUTES))
    assert found == {"coverage": 0, "novelty": 0, "gini": 0, "popularity_share": 0, "diversity": 0}


def test_items_without_attributes_are_left_out_of_pairs() -> None:
    assert diversity(np.array([[0, 1, 3]], np.int32), ATTRIBUTES) == pytest.approx(0.5)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_equals_the_mean_absolute_difference(exposures: list[int]) -> None:
    counts = np.array(exposures)
    expected = (
        np.abs(counts[:, None] - counts).mean() / (2 * counts.mean()) if counts.any() else 0.0
    )
    assert gini(counts) == pytest.approx(expected)


def test_diversity_equals_a_loop_in_blocks(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = rng.random((40, 6)) < 0.3
    ranked = np.stack([rng.choice(40, 7, replace=False) for _ in range(25)]).astype(np.int32)
    ranked[rng.random(ranked.shape) < 0.2] = NO_ITEM
    means = []
    for row in ranked:
        shown = [
            set(np.flatnonzero(values[item]))
            for item in row
            if item != NO_ITEM and values[item].any()
        ]
        pairs = [1 - len(one & other) / len(one | other) for one, other in combinations(shown, 2)]
        means += [np.mean(pairs)] if pairs else []
    monkeypatch.setattr(lists, "_BLOCK_ENTRIES", 100)
    assert diversity(ranked, sparse.csr_matrix(values.astype(np.float32))) == pytest.approx(
        np.mean(means), abs=1e-6
    )

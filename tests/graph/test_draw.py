"""Draws: distinct, uniform over subsets, and found where they stand."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.graph.draw import ALL, draw_from_runs, find_edges, subsets
from recsys.graph.edges import collapse


@given(sizes=st.lists(st.integers(3, 200), min_size=1, max_size=30), seed=st.integers(0, 2**63))
def test_subsets_are_distinct_and_in_range(sizes, seed):
    size = np.array(sizes, np.int32)
    chosen = subsets(size, 3, (seed,))
    assert chosen.shape == (3, len(sizes))
    assert ((chosen >= 0) & (chosen < size)).all()
    assert (np.diff(np.sort(chosen, axis=0), axis=0) > 0).all()


def test_every_subset_is_equally_likely():
    draws = 60_000
    chosen = np.sort(subsets(np.full(draws, 6, np.int32), 3, (11,)), axis=0)
    counts = Counter(map(tuple, chosen.T.tolist()))
    assert set(counts) == set(combinations(range(6), 3))
    expected = draws / 20
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 43.8  # 99.9 % quantile at 19 degrees of freedom


def test_runs_by_hand():
    start, length = np.array([10, 20, 30]), np.array([2, 0, 5])
    drawn = draw_from_runs(start, length, ALL, (0,))
    assert drawn.position.tolist() == [10, 11, 30, 31, 32, 33, 34]
    assert drawn.per_row.tolist() == [2, 0, 5]
    drawn = draw_from_runs(start, length, 3, (0,))
    assert drawn.per_row.tolist() == [2, 0, 3]
    assert drawn.position[:2].tolist() == [10, 11]
    assert len(set(drawn.position[2:].tolist()) & set(range(30, 35))) == 3


def test_the_stream_is_pinned():
    """These very numbers: a checkpoint resumed by a later version must draw what the first one
    would have drawn.
    """
    assert subsets(np.array([100, 1000, 10], np.int32), 2, (1, 2, 3)).tolist() == [
        [97, 34, 1],
        [79, 346, 9],
    ]


@pytest.mark.parametrize("seed", range(3))
def test_edges_are_found_as_by_a_loop(seed):
    rng = np.random.default_rng(seed)
    adjacency = collapse(rng.integers(0, 8, 30), rng.integers(0, 9, 30), np.ones(30), None, 10, 9)
    edges = list(zip(adjacency.destinations().tolist(), adjacency.indices.tolist(), strict=True))
    rows, columns = rng.integers(0, 10, 200), rng.integers(0, 9, 200)
    expected = [
        edges.index(pair)
        for pair in zip(rows.tolist(), columns.tolist(), strict=True)
        if pair in edges
    ]
    assert find_edges(adjacency, rows, columns).tolist() == expected

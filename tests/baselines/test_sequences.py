"""Histories as sequences, and the windows that are cut from them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.baselines.sasrec.sequences import (
    WINDOW,
    Windows,
    batch_of,
    batch_size,
    in_batches,
    latest_windows,
    sequences,
    training_windows,
)
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER
from small_logs import TARGET, interactions


def test_items_stand_in_order_of_time_each_at_its_latest() -> None:
    pairs = [(0, 3), (0, 1), (0, 3), (1, 2), (1, 0)]
    log = interactions(pairs, times=[5, 6, 9, 8, 4])
    histories = sequences(log, TARGET)
    assert histories.indptr.tolist() == [0, 2, 4]
    assert histories.items.tolist() == [1, 3, 0, 2]


def test_auxiliary_behaviours_are_no_part_of_a_sequence() -> None:
    rows = pl.DataFrame(
        {USER: [0, 0, 1], ITEM: [1, 0, 1], TIME: [1, 2, 3], BEHAVIOR: ["buy", "view", "view"]},
        schema_overrides={USER: pl.Int32, ITEM: pl.Int32},
    )
    ids = IdMap(pl.Series(["a", "b"]))
    histories = sequences(fit_interactions(rows, ids, ids, ("buy", "view")), "buy")
    assert histories.indptr.tolist() == [0, 1, 1]
    assert histories.items.tolist() == [1]


def test_windows_by_hand() -> None:
    """Users of 0, 1, 3 and WINDOW + 3 items."""
    indptr = np.cumsum([0, 0, 1, 3, WINDOW + 3])
    latest = latest_windows(indptr)
    assert latest.start.tolist() == [0, 1, 4 + 3]
    assert latest.length.tolist() == [1, 3, WINDOW]
    windows = training_windows(indptr)
    # The last item of a user is predicted and no input; two inputs are left before the last window.
    assert windows.start.tolist() == [1, 6, 4]
    assert windows.length.tolist() == [2, WINDOW, 2]


@given(st.lists(st.integers(0, 3 * WINDOW), min_size=1, max_size=8))
@settings(max_examples=50)
def test_every_item_but_the_first_is_predicted_once(counts: list[int]) -> None:
    indptr = np.cumsum([0, *counts])
    windows = training_windows(indptr)
    predicted = []
    for start, length in zip(*windows, strict=True):
        assert 1 <= length <= WINDOW
        predicted += range(start + 1, start + length + 1)
    expected = set(range(indptr[-1])) - set(indptr[:-1])
    assert sorted(predicted) == sorted(expected)


def test_a_batch_by_hand() -> None:
    items = np.array([7, 8, 9, 5, 6])
    batch = batch_of(items, Windows(np.array([0, 3]), np.array([3, 2])))
    assert batch.items.tolist() == [[7, 8, 9], [5, 6, 0]]
    assert batch.is_item.tolist() == [[True, True, True], [True, True, False]]
    last = WINDOW - 1
    assert batch.position.tolist() == [[last - 2, last - 1, last], [last - 1, last, last]]


@given(st.lists(st.integers(1, WINDOW), min_size=1, max_size=200), st.integers(1, 7))
@settings(max_examples=30)
def test_batches_hold_every_window_once(lengths: list[int], size: int) -> None:
    batches = list(in_batches(np.array(lengths), size, np.random.default_rng(0)))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)


@pytest.mark.parametrize(
    ("num_windows", "size"), [(0, 32), (100, 32), (6_400, 100), (22_363, 256), (10**6, 256)]
)
def test_small_logs_are_learned_in_small_batches(num_windows: int, size: int) -> None:
    assert batch_size(num_windows) == size


def test_a_history_of_100_000_items_is_cut() -> None:
    indptr = np.array([0, 100_000])
    assert latest_windows(indptr).length.tolist() == [WINDOW]
    assert training_windows(indptr).length.max() == WINDOW

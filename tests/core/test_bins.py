import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.bins import bin_labels, bin_of, quantile_labels

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("values", "bins", "labels"),
    [
        ([0, 1, 2, 3, 4], 2, ("0 to 2", "2 to 4")),
        ([7, 7, 7], 4, ("7 to 7",)),
        ([0, 0, 0, 0, 8], 4, ("0 to 8",)),
        ([-1.5, 0.25], 2, ("-1.5 to -0.625", "-0.625 to 0.25")),
        ([], 3, ()),
    ],
)
def test_bins_by_hand(values, bins, labels):
    assert quantile_labels(np.array(values, float), bins) == labels


def test_what_is_not_finite_has_no_bin():
    column = pl.Series([0.0, None, float("nan"), float("inf"), 4.0])
    assert bin_labels(column, ("0 to 2", "2 to 4")).to_list() == [
        "0 to 2",
        None,
        None,
        None,
        "2 to 4",
    ]
    assert bin_labels(pl.Series([None, None], dtype=pl.Float64), ()).to_list() == [None, None]


@pytest.mark.parametrize(
    ("value", "found"),
    [("3", "2 to 4"), (2, "2 to 4"), (-9, "0 to 2"), (99, "2 to 4"), ("x", None), ("nan", None)],
)
def test_the_bin_of_a_visitors_number(value, found):
    assert bin_of(value, ["2 to 4", "0 to 2"]) == found


def test_labels_that_are_no_bins():
    assert bin_of("3", ["3", "4"]) is None
    assert bin_of("3", ["a to b"]) is None
    assert bin_of("3", []) is None


@given(numbers, st.integers(2, 8))
def test_one_number_and_all_of_them_agree(values, bins):
    labels = quantile_labels(np.array(values), bins)
    together = bin_labels(pl.Series(values), labels).to_list()
    assert together == [bin_of(value, labels) for value in values]
    assert len(set(labels)) == len(labels) <= bins

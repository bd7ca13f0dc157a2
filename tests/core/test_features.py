"""Columns as numbers: by hand, rows that say nothing, and what does not fit."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.errors import DataError
from recsys.core.features import FeatureColumn

NAN, INF = float("nan"), float("inf")


def both(column: pl.Series, separator: str | None = None) -> tuple[list, int]:
    values, missing = FeatureColumn.fit(column, separator).apply(column)
    return values.tolist(), missing


def test_numbers_are_centred_and_scaled():
    values, missing = FeatureColumn.fit(
        column := pl.Series("price", [1.0, 3.0, NAN, INF, None])
    ).apply(column)
    assert values.ravel().tolist() == [-1, 1, 0, 0, 0]
    assert missing == 3


def test_vectors_have_a_mean_of_none_and_a_length_of_one():
    column = pl.Series("text", [[3.0, 0.0], [-1.0, 0.0], None, [NAN, 1.0]])
    values, missing = FeatureColumn.fit(column).apply(column)
    assert values.tolist() == [[1, 0], [-1, 0], [0, 0], [0, 0]]
    assert missing == 2


def test_arrays_of_whole_numbers_are_vectors_too():
    column = pl.Series("text", [[1, 2], [3, 2]], dtype=pl.Array(pl.Int16, 2))
    assert FeatureColumn.fit(column).apply(column)[0].tolist() == [[-1, 0], [1, 0]]


def test_values_are_marks():
    assert both(pl.Series("genre", ["a|b", "b", "", None]), "|") == (
        [[1, 1], [0, 1], [0, 0], [0, 0]],
        2,
    )


def test_new_rows_are_read_as_the_fitted_ones_were():
    fitted = FeatureColumn.fit(pl.Series("genre", ["a", "b"]))
    assert fitted.apply(pl.Series(["b", "z", None]))[0].tolist() == [[0, 1], [0, 0], [0, 0]]
    number = FeatureColumn.fit(pl.Series("price", [0.0, 2.0]))
    assert number.apply(pl.Series([4.0, INF]))[0].tolist() == [[3], [0]]
    vector = FeatureColumn.fit(pl.Series("text", [[0.0, 1.0], [0.0, 3.0]]))
    values, missing = vector.apply(pl.Series([[0.0, 2.0], [1.0]]))
    assert (values.tolist(), missing) == ([[0, 0], [0, 0]], 1)


@pytest.mark.parametrize(
    "column", [pl.Series("x", [None, None], dtype=pl.Float64), pl.Series("x", [7.0, 7.0])]
)
def test_columns_that_say_nothing(column):
    assert not FeatureColumn.fit(column).apply(column)[0].any()


def test_columns_without_a_value():
    for kind in (pl.String, pl.List(pl.Float64)):
        column = pl.Series("x", [None, None], dtype=kind)
        values, missing = FeatureColumn.fit(column).apply(column)
        assert (values.shape, missing) == ((2, 0), 2)


def test_what_does_not_fit():
    with pytest.raises(DataError, match="have 1 to 2 numbers"):
        FeatureColumn.fit(pl.Series("text", [[1.0], [1.0, 2.0]]))
    with pytest.raises(DataError, match="5,000 values, too many"):
        FeatureColumn.fit(pl.Series("name", [str(one) for one in range(5000)]))


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=1, max_size=20))
def test_rows_have_a_root_mean_square_length_of_one_or_are_zero(rows):
    column = pl.Series("text", rows)
    fitted = FeatureColumn.fit(column)
    values, _ = fitted.apply(column)
    size = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1).mean())
    assert size == pytest.approx(1, rel=1e-3) or np.allclose(rows, np.mean(rows, axis=0), atol=1e-6)
    assert FeatureColumn.read(json.loads(json.dumps(fitted.document()))) == fitted

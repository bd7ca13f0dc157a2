"""Orders by counting are those of numpy's own sorts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.ordering import dense_ids, order_in_rows, stable_order

NUM_CODES = 12
CODES = st.lists(st.integers(0, NUM_CODES - 1), max_size=40)
ROWS = st.lists(st.lists(st.integers(0, NUM_CODES - 1), unique=True), max_size=8)
KINDS = pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64])


@KINDS
@given(CODES)
def test_equal_codes_stay_in_order(kind: type[np.integer], numbers: list[int]) -> None:
    codes = np.array(numbers, kind)
    order = stable_order(codes, NUM_CODES)
    assert order.tolist() == np.argsort(codes, kind="stable").tolist()


@KINDS
@given(CODES)
def test_dense_ids_are_places_among_the_distinct(
    kind: type[np.integer], numbers: list[int]
) -> None:
    codes = np.array(numbers, kind)
    present, place = dense_ids(codes, NUM_CODES)
    wanted, wanted_place = np.unique(codes, return_inverse=True)
    assert present.tolist() == wanted.tolist() and place.tolist() == wanted_place.tolist()


@KINDS
@given(ROWS)
def test_rows_are_ordered_each_by_itself(kind: type[np.integer], rows: list[list[int]]) -> None:
    lengths = [len(row) for row in rows]
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    columns = np.array([column for row in rows for column in row], kind)
    before = columns.copy()

    order = order_in_rows(indptr, columns, NUM_CODES)

    number_of_row = np.repeat(np.arange(len(rows)), lengths)
    assert order.tolist() == np.lexsort((columns, number_of_row)).tolist()
    assert columns.tolist() == before.tolist()


def test_no_codes_at_all() -> None:
    nothing = np.zeros(0, np.int32)
    assert len(stable_order(nothing, 0)) == 0
    assert len(order_in_rows(np.zeros(1, np.int64), nothing, 0)) == 0
    assert [len(found) for found in dense_ids(nothing, 0)] == [0, 0]

"""Packed keys: any rows come back, in the order of their columns; what does not fit is left to
polars.
"""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys.logs.packing import pack, sort_rows

NUMBER = st.integers(-(2**40), 2**40)
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5), NUMBER), max_size=30)
COLUMNS = ["a", "b", "c"]


def arrays(rows):
    table = np.array(rows, np.int64).reshape(-1, 3)
    return {name: table[:, place] for place, name in enumerate(COLUMNS)}


@given(ROWS)
def test_rows_come_back_and_sort_as_tuples(rows):
    packed = pack(arrays(rows))
    back = packed.arrays()
    assert list(zip(*(back[name].tolist() for name in COLUMNS), strict=True)) == rows
    back = packed.sort().arrays()
    assert list(zip(*(back[name].tolist() for name in COLUMNS), strict=True)) == sorted(rows)


@given(ROWS, st.booleans())
def test_one_a_group_is_the_first_or_last(rows, last):
    found = pack(arrays(rows)).sort().one_a_group(last).arrays()
    groups = {}
    for row in sorted(rows, reverse=not last):
        groups[row[:2]] = row
    assert list(zip(*(found[name].tolist() for name in COLUMNS), strict=True)) == sorted(
        groups.values()
    )


@given(ROWS)
def test_tables_sort_the_same_whether_they_fit_or_not(rows):
    frame = pl.DataFrame(arrays(rows), schema=dict.fromkeys(COLUMNS, pl.Int64))
    wanted = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    assert sort_rows(frame, ["c", "a", "b"]).rows() == wanted
    text = frame.with_columns(pl.lit("x").alias("d"))
    assert sort_rows(text, ["c", "a", "b", "d"]).drop("d").rows() == wanted


def test_ranks_stand_for_numbers_that_lie_far_apart():
    """Two numbers take a bit, however many lie between; five columns of 20,000 take 75."""
    far = {"a": np.array([2**62, -(2**62), 2**62]), "b": np.array([7, 7, -(2**62)])}
    packed = pack(far)
    assert [column.bits for column in packed.columns] == [1, 1]
    for name, values in packed.sort().arrays().items():
        order = np.lexsort((far["b"], far["a"]))
        assert values.tolist() == far[name][order].tolist()


def test_more_than_63_bits_do_not_fit():
    numbers = np.arange(20_000)
    assert pack(dict.fromkeys("abcd", numbers)) is not None
    assert pack(dict.fromkeys("abcde", numbers)) is None
    assert pack({"a": np.array([0, 2**62])}).columns[0].levels is None

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


def test_more_than_63_bits_do_not_fit():
    wide = np.array([0, 2**62], np.int64)
    assert pack({"a": wide}) is not None
    assert pack({"a": wide, "b": np.array([0, 1])}) is None
    assert pack({"a": np.array([-(2**62), 2**62])}) is None

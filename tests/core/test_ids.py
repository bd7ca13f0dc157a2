import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.errors import DataError, UsageError
from recsys.core.ids import UNKNOWN, IdMap, id_column, id_text

TEXTS = st.lists(st.text(), unique=True, min_size=1, max_size=30)


@given(TEXTS)
def test_outside_ids_come_back(ids: list[str]) -> None:
    known = IdMap(pl.Series(ids, dtype=pl.String))
    assert known.external(known.lookup(ids)) == ids
    assert [known.internal(one) for one in ids] == list(range(len(ids)))


def test_unknown_ids_are_marked_or_named() -> None:
    known = IdMap(pl.Series(["anna", "bert"]), "user")
    assert known.lookup(["bert", "carl"]).tolist() == [1, UNKNOWN]
    with pytest.raises(UsageError, match=r"unknown user 'ana'.*'anna'"):
        known.internal("ana")
    with pytest.raises(UsageError, match="-1"):
        known.external(np.array([0, UNKNOWN]))


def test_numbers_are_looked_up_as_text() -> None:
    known = IdMap(pl.Series(["7", "8"]))
    assert known.internal(8) == 1
    assert 7 in known


def test_ids_must_be_text() -> None:
    with pytest.raises(DataError, match="Int64"):
        IdMap(pl.Series([1, 2]))


VALUES = {
    "text": ("a", "a"),
    "text with blanks": (" a ", " a "),
    "text like a float": ("1.0", "1.0"),
    "text with zeros": ("007", "007"),
    "empty text": ("", ""),
    "integer": (42, "42"),
    "negative integer": (-7, "-7"),
    "large integer": (2**70, str(2**70)),
    "whole float": (42.0, "42"),
    "negative zero": (-0.0, "0"),
    "other float": (1.5, "1.5"),
    "small float": (1e-7, "1e-7"),
    "huge float": (1e300, "1e+300"),
    "truth": (True, "true"),
    "numpy integer": (np.int32(42), "42"),
    "numpy unsigned": (np.uint8(200), "200"),
    "numpy float": (np.float64(42.0), "42"),
    "numpy short float": (np.float32(0.1), "0.1"),
    "numpy truth": (np.bool_(False), "false"),
    "numpy text": (np.str_("x"), "x"),
    "numpy array of none": (np.array(5), "5"),
    "decimal": (Decimal("42.00"), "42"),
    "decimal fraction": (Decimal("4.25"), "4.25"),
    "bytes": (b"ab", "ab"),
    "UUID": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "nothing": (None, None),
    "NaN": (float("nan"), None),
    "decimal NaN": (Decimal("NaN"), None),
    "NA of pandas": (pd.NA, None),
    "NaT of pandas": (pd.NaT, None),
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_value_has_one_text(kind: str) -> None:
    value, text = VALUES[kind]
    assert id_text(value) == text


_COLUMNS = {
    "integers": pl.Series([1, -2, None], dtype=pl.Int64),
    "unsigned": pl.Series([1, 255], dtype=pl.UInt8),
    "floats": pl.Series([1.0, 2.5, float("nan"), None, -0.0, 1e300, 1e-7]),
    "short floats": pl.Series([1.0, 0.1], dtype=pl.Float32),
    "text": pl.Series(["a", " 1.0 ", "", None]),
    "truths": pl.Series([True, False, None]),
    "decimals": pl.Series([Decimal("4.00"), Decimal("4.25")]),
    "bytes": pl.Series([b"ab", b"c"]),
    "categories": pl.Series(["a", "b"], dtype=pl.Categorical),
}


@pytest.mark.parametrize("kind", _COLUMNS)
def test_a_cell_and_its_value_are_one_id(kind: str) -> None:
    column = _COLUMNS[kind].alias("id")
    texts = column.to_frame().select(id_column(pl.col("id"), column.dtype))["id"].to_list()
    values = list(column.to_numpy()) if column.dtype == pl.Float32 else column.to_list()
    assert texts == [id_text(value) for value in values]


def test_a_map_finds_ids_of_any_type() -> None:
    known = IdMap(pl.Series(["1", "2", "nan"]))
    assert known.lookup([1, 2.0, np.int64(1), "2", 9, None, float("nan")]).tolist() == [
        0,
        1,
        0,
        1,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
    ]
    assert 2.0 in known and None not in known
    with pytest.raises(UsageError, match="unknown id None"):
        known.internal(None)

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.errors import DataError, UsageError
from recsys.core.ids import UNKNOWN, IdMap

TEXTS = st.lists(st.text(), unique=True, min_size=1, max_size=30)


@given(TEXTS)
def test_outside_ids_come_back(ids: list[str]) -> None:
    known = IdMap(pl.Series(ids, dtype=pl.String))
    assert known.outside(known.lookup(ids)) == ids
    assert [known.dense(one) for one in ids] == list(range(len(ids)))


def test_unknown_ids_are_marked_or_named() -> None:
    known = IdMap(pl.Series(["anna", "bert"]), "user")
    assert known.lookup(["bert", "carl"]).tolist() == [1, UNKNOWN]
    with pytest.raises(UsageError, match=r"unknown user 'ana'.*'anna'"):
        known.dense("ana")
    with pytest.raises(UsageError, match="-1"):
        known.outside(np.array([0, UNKNOWN]))


def test_numbers_are_looked_up_as_text() -> None:
    known = IdMap(pl.Series(["7", "8"]))
    assert known.dense(8) == 1
    assert 7 in known


def test_ids_must_be_text() -> None:
    with pytest.raises(DataError, match="Int64"):
        IdMap(pl.Series([1, 2]))

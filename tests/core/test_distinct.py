"""Distinct numbers are those of numpy's own, whatever arrays they come in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.distinct import distinct

NUMBERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=30)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@given(NUMBERS, NUMBERS)
def test_as_numpy_has_them(kind, left, right):
    left, right = np.array(left, kind), np.array(right, kind)
    for found, wanted in (
        (distinct(left), np.unique(left)),
        (distinct(left, right), np.union1d(left, right)),
    ):
        assert found.dtype == kind
        assert found.tolist() == wanted.tolist()

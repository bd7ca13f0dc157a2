"""One home for the metric that decides: another one may take its place."""

import numpy as np
import pytest
from scipy import sparse

from recsys.evaluate import deciding
from recsys.evaluate.deciding import (
    deciding_mean,
    deciding_metric,
    deciding_per_user,
    list_length,
)
from recsys.evaluate.metrics import METRICS

HELD_OUT = sparse.csr_matrix(np.array([[0, 1, 0, 1], [1, 0, 0, 0]], np.float32))
USERS = np.array([0, 1], np.int32)
LISTS = np.array([[2, 1, 3], [3, 0, 1]], np.int32)


def test_ndcg_decides_by_hand() -> None:
    # User 0: hits at ranks 2 and 3 of two held out. User 1: a hit at rank 2 of one.
    first = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    values = deciding_per_user(LISTS, USERS, HELD_OUT, 3)
    np.testing.assert_allclose(values, [first, 1 / np.log2(3)])
    assert deciding_mean(LISTS, USERS, HELD_OUT, 3) == pytest.approx(values.mean())
    assert deciding_metric(3) == "ndcg@3" and list_length("ndcg@3") == "3"


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_another_metric_could_decide(monkeypatch: pytest.MonkeyPatch, metric: str) -> None:
    monkeypatch.setattr(deciding, "DECIDING", metric)
    assert deciding_metric(2) == f"{metric}@2"
    values = deciding_per_user(LISTS, USERS, HELD_OUT, 2)
    assert deciding_mean(LISTS, USERS, HELD_OUT, 2) == pytest.approx(values.mean())

"""Rows of relations: shares add up within a part, worth is paired over the same users."""

import numpy as np
import pytest
from scipy import sparse

from recsys.evaluate.relations import relation_rows

MASS = {
    "user": {"rev_buy": 0.7, "rev_view": 0.3},
    "item": {"buy": 0.5, "rev_genres": 0.2, "kg:actor": 0.1, "rev_kg:film": 0.15},
    "item:genres": {"genres": 1.0},
}
PARTS = {
    "rev_buy": "buy",
    "buy": "buy",
    "rev_view": "view",
    "rev_genres": "genres",
    "genres": "genres",
} | {
    "kg:actor": "kg",
    "rev_kg:film": "kg",
}


def test_shares_and_worth() -> None:
    users = np.arange(40, dtype=np.int32)
    held_out = sparse.csr_matrix(np.eye(40, dtype=np.float32))
    main = np.stack([users, (users + 1) % 40], axis=1).astype(np.int32)
    without = main.copy()
    without[:20] = without[:20, ::-1]  # half of the users find theirs second
    rows = relation_rows(MASS, PARTS, {"genres": without}, main, users, held_out, "ndcg@2", 500, 0)
    assert [row.name for row in rows] == ["buy", "view", "kg", "genres"]
    found = {row.name: row for row in rows}
    assert found["kg"].mass == {"item": pytest.approx(0.25)} and found["buy"].mass == {
        "user": 0.7,
        "item": 0.5,
    }
    genres = found["genres"]
    assert genres.mass == {"item": 0.2} and genres.without == pytest.approx(
        (1 + 1 / np.log2(3)) / 2
    )
    assert (
        genres.worth == pytest.approx(1 - genres.without)
        and genres.low <= genres.worth <= genres.high
    )
    assert found["buy"].worth is None

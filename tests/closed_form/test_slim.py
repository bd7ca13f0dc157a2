"""SLIM as a recommender: worked by hand, against naive regressions, and where EASE does not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.baselines.catalogue import BASELINES, skip_reason
from recsys.closed_form.slim import fit_slim
from recsys.core.errors import UsageError
from small_logs import TARGET, interactions, random_interactions


def test_three_users_by_hand() -> None:
    # c_01 = 2 and c_02 = 1; items have 3, 2 and 1 users.
    train = interactions([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 2)])
    [model] = fit_slim(train, TARGET, [(1, 1.0)])
    # The one source of item 0 is item 1: w = 2 / (2 + 1). That of items 1 and 2 is item 0:
    # 2 / (3 + 1) and 1 / (3 + 1).
    expected = [[2 / 3, 2 / 4, 1 / 4], [2 / 3, 2 / 4, 1 / 4], [0, 2 / 4, 1 / 4]]
    assert model.score(np.arange(3, dtype=np.int32)) == pytest.approx(np.array(expected))


@given(st.integers(0, 50), st.floats(0.5, 100.0))
@settings(max_examples=15)
def test_with_all_items_as_sources_it_is_ease_without_what_speaks_against(
    seed: int, ridge: float
) -> None:
    """Scores are rows times max(0, B) for EASE's B: the same systems, their weights clipped."""
    train = random_interactions(num_users=25, num_items=9, density=0.3, seed=seed)
    rows = train.matrix().toarray().astype(np.float64)
    inverse = np.linalg.inv(rows.T @ rows + ridge * np.eye(9))
    weights = np.maximum(0, -inverse / np.diag(inverse))
    np.fill_diagonal(weights, 0)
    [model] = fit_slim(train, TARGET, [(9, ridge)])
    scores = model.score(np.arange(25, dtype=np.int32))
    np.testing.assert_allclose(scores, rows @ weights, rtol=1e-3, atol=1e-4)


@given(st.integers(0, 50), st.integers(1, 6), st.floats(0.5, 100.0))
@settings(max_examples=15)
def test_a_larger_ridge_lowers_the_total_and_no_score_is_negative(
    seed: int, neighbours: int, ridge: float
) -> None:
    train = random_interactions(num_users=25, num_items=9, density=0.3, seed=seed)
    users = np.arange(25, dtype=np.int32)
    weak, strong = fit_slim(train, TARGET, [(neighbours, ridge), (neighbours, 1e6)])
    assert (weak.score(users) >= 0).all()
    assert strong.score(users).sum() < weak.score(users).sum()


def test_settings_in_any_order_equal_fits_of_their_own() -> None:
    train = random_interactions()
    users = np.arange(train.num_users, dtype=np.int32)
    grid = [(5, 2.0), (5, 20.0), (3, 2.0), (5, 8.0)]
    for setting, model in zip(grid, fit_slim(train, TARGET, grid), strict=True):
        [alone] = fit_slim(train, TARGET, [setting])
        np.testing.assert_array_equal(model.score(users), alone.score(users))


@pytest.mark.parametrize(
    ("setting", "words", "mended"),
    [((0, 5.0), "at least 1", (1, 5.0)), ((5, 0.0), "Use 15", (5, 15.0))],
)
def test_settings_that_cannot_be(
    setting: tuple[int, float], words: str, mended: tuple[int, float]
) -> None:
    train = random_interactions()
    with pytest.raises(UsageError, match=words):
        list(fit_slim(train, TARGET, [setting]))
    assert len(list(fit_slim(train, TARGET, [mended]))) == 1


def test_it_fits_where_ease_does_not() -> None:
    """50,000 items and 2.6 million rows: minutes and two gigabytes, where EASE needs thirty."""
    sizes = (200_000, 50_000, 2_600_000)
    slim, ease = BASELINES["slim"].forecast(*sizes), BASELINES["ease"].forecast(*sizes)
    assert slim.seconds < 150 and slim.bytes < 2e9
    assert ease.seconds > 10 * slim.seconds and ease.bytes > 10 * slim.bytes


def test_it_is_left_out_by_name_where_it_does_not_fit() -> None:
    reason = skip_reason(BASELINES["slim"], random_interactions(), 20, 1000)
    assert reason is not None and "memory" in reason

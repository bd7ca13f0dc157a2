"""Closed-form models against their formulas written out densely, and worlds with known answers."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.baselines.catalogue import BASELINES, baseline, skip_reason
from recsys.closed_form.cooccurrence import cooccurrence
from recsys.closed_form.popularity import fit_popularity, fit_recent_popularity
from recsys.core.errors import DataError, MachineError, UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.ranking import top_k
from recsys.core.tables import ITEM, USER
from recsys.logs.synthetic import checkerboard
from small_logs import TARGET, interactions, random_interactions


@pytest.fixture(scope="module")
def train() -> Interactions:
    return random_interactions()


@pytest.fixture(scope="module")
def dense(train: Interactions) -> np.ndarray:
    return train.matrix().toarray().astype(np.float64)


def scores(name: str, params: dict, train: Interactions) -> np.ndarray:
    return (
        baseline(name).fit(train, TARGET, params).score(np.arange(train.num_users, dtype=np.int32))
    )


def test_popularity_counts_a_pair_once() -> None:
    train = interactions([(0, 0), (0, 0), (1, 0), (1, 1), (2, 2), (2, 2)])
    assert fit_popularity(train, TARGET).weights.tolist() == [2, 1, 1]


def test_recent_popularity_by_hand() -> None:
    train = interactions([(0, 0), (1, 0), (2, 0), (0, 1), (1, 2), (2, 2)], times=[1, 2, 3, 4, 5, 6])
    recent = fit_recent_popularity(
        train, TARGET, share=0.5
    )  # rows 4, 5, 6: item 1 once, item 2 twice, item 0 not at all
    assert np.argsort(-recent.weights).tolist() == [2, 1, 0]
    assert np.argsort(-fit_recent_popularity(train, TARGET, share=1.0).weights).tolist() == [
        0,
        2,
        1,
    ]


def test_recent_popularity_breaks_ties_by_all_time() -> None:
    train = interactions([(0, 0), (1, 1), (2, 1), (0, 2), (1, 0)], times=[1, 2, 3, 9, 9])
    # Recent: items 2 and 0 once each; all time item 0 leads with two users; item 1 was popular long
    # ago only.
    assert np.argsort(-fit_recent_popularity(train, TARGET, share=0.2).weights).tolist() == [
        0,
        2,
        1,
    ]


def test_recent_popularity_needs_times(train: Interactions) -> None:
    with pytest.raises(DataError, match="needs times"):
        fit_recent_popularity(train, TARGET, 0.1)
    assert skip_reason(BASELINES["popularity_recent"], train, 10, 10**9) == "the log has no times"


def naive_similarity(
    dense: np.ndarray, measure: str, shrinkage: float, min_shared: int = 0
) -> np.ndarray:
    items = dense.shape[1]
    table = np.zeros((items, items))
    for i in range(items):
        for j in range(items):
            both, of_i, of_j = (
                (dense[:, i] * dense[:, j]).sum(),
                dense[:, i].sum(),
                dense[:, j].sum(),
            )
            divisor = {
                "cosine": np.sqrt(of_i * of_j),
                "jaccard": of_i + of_j - both,
                "count": 1 - shrinkage,
            }[measure]
            table[i, j] = 0 if i == j or both < min_shared else both / (divisor + shrinkage)
    return table


@pytest.mark.parametrize("measure", ["cosine", "jaccard", "count"])
@pytest.mark.parametrize("shrinkage", [0.0, 7.0])
@pytest.mark.parametrize("top_n", [1, 5, 100])
@pytest.mark.parametrize("min_shared", [0, 3])
def test_cooccurrence_equals_a_loop(
    dense: np.ndarray, measure: str, shrinkage: float, top_n: int, min_shared: int
) -> None:
    table = cooccurrence(sparse.csr_matrix(dense), measure, top_n, shrinkage, min_shared)
    expected = naive_similarity(dense, measure, shrinkage, min_shared).astype(np.float32)
    best = top_k(expected, min(top_n, dense.shape[1])).items
    for item, row in enumerate(expected):
        kept = best[item][row[best[item]] > 0]
        found = table[item].toarray().ravel()
        assert np.flatnonzero(found).tolist() == sorted(kept.tolist())
        np.testing.assert_allclose(found[kept], row[kept], rtol=1e-6)


def test_cooccurrence_refuses_what_it_does_not_know(dense: np.ndarray) -> None:
    with pytest.raises(UsageError, match="'salton'"):
        cooccurrence(sparse.csr_matrix(dense), "salton")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="top_n = 0"):
        cooccurrence(sparse.csr_matrix(dense), top_n=0)


def test_itemknn_equals_dense(train: Interactions, dense: np.ndarray) -> None:
    similar = naive_similarity(dense, "cosine", 3.0).astype(np.float32)
    for item, near in enumerate(top_k(similar, 4).items):
        similar[item, np.setdiff1d(np.arange(len(similar)), near)] = 0
    found = scores("itemknn", {"neighbours": 4, "shrinkage": 3.0}, train)
    np.testing.assert_allclose(found, dense @ similar.T, rtol=1e-5)


def test_itemknn_damping_weighs_users_by_their_degree(
    train: Interactions, dense: np.ndarray
) -> None:
    weight = dense.sum(axis=1) ** -1.0
    both = dense.T @ (weight[:, None] * dense)
    similar = both / (np.sqrt(np.outer(np.diag(both), np.diag(both))) + 2.0)
    np.fill_diagonal(similar, 0)
    found = scores("itemknn", {"neighbours": 1000, "shrinkage": 2.0, "damping": 1.0}, train)
    np.testing.assert_allclose(found, dense @ similar.T, rtol=1e-5)


@pytest.mark.parametrize("regularisation", [0.5, 100.0])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40)], ids=["more users", "more items"])
def test_ease_equals_the_constrained_least_squares(
    shape: tuple[int, int], regularisation: float
) -> None:
    train = random_interactions(*shape)
    dense = train.matrix().toarray().astype(np.float64)
    # Column by column: regress each item on all others, which is what the closed form solves.
    weights = np.zeros((dense.shape[1], dense.shape[1]))
    for item in range(dense.shape[1]):
        others = np.delete(np.arange(dense.shape[1]), item)
        rest = dense[:, others]
        penalised = rest.T @ rest + regularisation * np.eye(len(others))
        weights[others, item] = np.linalg.solve(penalised, rest.T @ dense[:, item])
    found = scores("ease", {"regularisation": regularisation}, train)
    np.testing.assert_allclose(found, dense @ weights, rtol=1e-4, atol=1e-5)


def test_ease_in_single_precision(train: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = scores("ease", {"regularisation": 10.0}, train)
    monkeypatch.setattr("recsys.closed_form.ease.DOUBLE_ITEMS", 1)
    np.testing.assert_allclose(scores("ease", {"regularisation": 10.0}, train), exact, atol=1e-4)


@pytest.mark.parametrize("regularisation", [1e-4, 3e-3])
def test_ease_takes_double_precision_where_single_has_no_inverse(
    regularisation: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """λ drowns in the rounding of many users of the same items."""
    pairs = [(user, item) for user in range(3_000) for item in (0, 1)]
    train = interactions([*pairs, (0, 2), (1, 2), (3_000, 1)])
    exact = scores("ease", {"regularisation": regularisation}, train)
    monkeypatch.setattr("recsys.closed_form.ease.DOUBLE_ITEMS", 0)
    np.testing.assert_allclose(
        scores("ease", {"regularisation": regularisation}, train), exact, rtol=1e-5, atol=1e-5
    )


def test_ease_refuses_what_has_no_inverse() -> None:
    twins = interactions([(0, 0), (0, 1), (1, 0), (1, 1)])
    with pytest.raises(MachineError, match="larger λ"):
        scores("ease", {"regularisation": -1.0}, twins)


@pytest.mark.parametrize(("rank", "weight"), [(8, 0.3), (8, 0.0), (30, 1.0)])
@pytest.mark.parametrize(("users", "items"), [(60, 40), (40, 60)])
def test_gfcf_equals_dense(users: int, items: int, rank: int, weight: float) -> None:
    """Whether P is made, or users of the same items stand between."""
    train = random_interactions(users, items)
    dense = train.matrix().toarray().astype(np.float64)
    of_user, of_item = dense.sum(axis=1), dense.sum(axis=0)
    normal = dense / np.sqrt(of_user)[:, None] / np.sqrt(of_item)
    vectors = np.linalg.svd(normal)[2][:rank].T
    ideal = np.diag(of_item**-0.5) @ vectors @ vectors.T @ np.diag(of_item**0.5)
    expected = dense @ normal.T @ normal + weight * dense @ ideal
    np.testing.assert_allclose(
        scores("gfcf", {"rank": rank, "weight": weight}, train), expected, rtol=1e-4, atol=1e-5
    )


def test_a_sweep_equals_separate_fits(train: Interactions) -> None:
    users = np.arange(train.num_users, dtype=np.int32)
    for name in ("itemknn", "slim", "ease", "gfcf"):
        swept = baseline(name).sweep(train, TARGET, baseline(name).grid, 0)
        for params, scorer in zip(baseline(name).grid, swept, strict=True):
            alone = baseline(name).fit(train, TARGET, params).score(users)
            np.testing.assert_allclose(scorer.score(users), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["itemknn", "slim", "ease", "gfcf", "ials"])
def test_every_model_solves_the_checkerboard(name: str) -> None:
    if reason := BASELINES[name].available():
        pytest.skip(reason)
    log = checkerboard(20, 20)
    pairs = list(
        zip(
            log["user_id"].str.slice(1).cast(int),
            log["item_id"].str.slice(1).cast(int),
            strict=True,
        )
    )
    train = interactions(pairs)
    params = {**BASELINES[name].grid[0]}
    if name == "gfcf":
        params["rank"] = 8
    if name == "ials":
        params["width"] = 8
    users = np.arange(20, dtype=np.int32)
    found = BASELINES[name].fit(train, TARGET, params).score(users)
    found = np.where(train.matrix().toarray() > 0, -np.inf, found).astype(np.float32)
    assert top_k(found, 1).items.ravel().tolist() == list(range(20))


def test_ials_lowers_its_own_loss(train: Interactions, dense: np.ndarray) -> None:
    if reason := BASELINES["ials"].available():
        pytest.skip(reason)
    params = {"width": 16, "confidence": 20.0, "regularisation": 0.1, "iterations": 20}
    found = scores("ials", params, train)
    assert found[dense > 0].mean() > 0.8 > 0.4 > found[dense == 0].mean()


def test_ials_without_implicit_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, train: Interactions
) -> None:
    monkeypatch.setattr("recsys.closed_form.ials.find_spec", lambda name: None)
    reason = skip_reason(BASELINES["ials"], train, 10, 10**9)
    assert reason is not None and 'pip install "recsys[als]"' in reason
    with pytest.raises(MachineError, match="pip install"):
        scores("ials", BASELINES["ials"].grid[0], train)


def test_a_user_of_other_behaviours_only_is_scored() -> None:
    rows = pl.DataFrame(
        {
            USER: [0, 0, 1, 1, 2],
            ITEM: [0, 1, 0, 2, 2],
            "behavior": ["buy", "buy", "buy", "buy", "view"],
        },
        schema_overrides={USER: pl.Int32, ITEM: pl.Int32},
    )
    ids = IdMap(pl.Series(["a", "b", "c"]))
    train = fit_interactions(rows, ids, ids, ("buy", "view"))
    for name in ("popularity", "itemknn", "slim", "ease", "gfcf"):
        found = (
            baseline(name).fit(train, "buy", baseline(name).grid[0]).score(np.array([2], np.int32))
        )
        assert found.shape == (1, 3) and np.isfinite(found).all()

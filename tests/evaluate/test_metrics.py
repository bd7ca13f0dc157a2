"""Ranking metrics: a table worked by hand, a naive loop, properties, traps of the literature, and
scikit-learn.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import ndcg_score

from recsys.core.errors import UsageError
from recsys.core.ranking import NO_ITEM, top_k
from recsys.evaluate.metrics import METRICS, evaluable_users, match, rank_metrics


def held_out(sets: list[set[int]], num_items: int) -> sparse.csr_matrix:
    dense = np.zeros((len(sets), num_items), np.float32)
    for user, items in enumerate(sets):
        dense[user, list(items)] = 1
    return sparse.csr_matrix(dense)


def judged(
    lists: list[list[int]], sets: list[set[int]], ks: list[int], num_items: int = 10
) -> dict[str, np.ndarray]:
    users = np.arange(len(lists), dtype=np.int32)
    return dict(
        rank_metrics(np.array(lists, np.int32), users, held_out(sets, num_items), ks).per_user
    )


def test_by_hand() -> None:
    # User 0: held out {1, 3, 5}, list 1 2 3 4: hits at ranks 1 and 3. User 1: {9}, list 0 9 1 2: a
    # hit at rank 2. User 2: {7, 8}, list 0 1 2 3: none.
    found = judged([[1, 2, 3, 4], [0, 9, 1, 2], [0, 1, 2, 3]], [{1, 3, 5}, {9}, {7, 8}], [4])
    log2 = np.log2
    expected = {
        "recall@4": [2 / 3, 1, 0],
        "precision@4": [2 / 4, 1 / 4, 0],
        "hr@4": [1, 1, 0],
        "mrr@4": [1, 1 / 2, 0],
        "map@4": [(1 + 2 / 3) / 3, (1 / 2) / 1, 0],
        "ndcg@4": [(1 + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4)), 1 / log2(3), 0],
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


def naive(ranked: list[int], relevant: set[int], k: int) -> dict[str, float]:
    hits, dcg, precisions, first = 0, 0.0, 0.0, 0.0
    for position, item in enumerate(ranked[:k], start=1):
        if item in relevant:
            hits += 1
            dcg += 1 / np.log2(position + 1)
            precisions += hits / position
            first = first or 1 / position
    ideal = sum(1 / np.log2(position + 1) for position in range(1, min(k, len(relevant)) + 1))
    return {
        "recall": hits / len(relevant),
        "ndcg": dcg / ideal,
        "precision": hits / k,
        "hr": float(hits > 0),
        "mrr": first,
        "map": precisions / min(k, len(relevant)),
    }


@pytest.mark.parametrize("k", [1, 10, 100])
def test_equals_a_loop(k: int, rng: np.random.Generator) -> None:
    num_users, num_items = 60, 120
    scores = rng.random((num_users, num_items)).astype(np.float32)
    scores[:, :40] = np.where(rng.random((num_users, 40)) < 0.9, -np.inf, scores[:, :40])
    scores[3] = -np.inf  # a list without any candidate
    sets = [
        set(rng.choice(num_items, rng.integers(1, 30), replace=False).tolist())
        for _ in range(num_users)
    ]
    ranked = top_k(scores, k).items
    found = rank_metrics(
        ranked, np.arange(num_users, dtype=np.int32), held_out(sets, num_items), [k]
    )
    for user in range(num_users):
        for name, value in naive(ranked[user].tolist(), sets[user], k).items():
            assert found.per_user[f"{name}@{k}"][user] == pytest.approx(value, abs=1e-12), (
                name,
                user,
            )
    for name in METRICS:
        assert found.overall[f"{name}@{k}"] == pytest.approx(found.per_user[f"{name}@{k}"].mean())


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, list[set[int]], int]:
    """Lists with ends, held-out sets, and the number of items."""
    num_items = draw(st.integers(1, 12))
    num_users = draw(st.integers(1, 6))
    lists = [draw(st.permutations(range(num_items))) for _ in range(num_users)]
    ends = [draw(st.integers(0, num_items)) for _ in range(num_users)]
    rows = [
        [*order[:end], *[NO_ITEM] * (num_items - end)]
        for order, end in zip(lists, ends, strict=True)
    ]
    sets = [draw(st.sets(st.integers(0, num_items - 1), min_size=1)) for _ in range(num_users)]
    return np.array(rows, np.int32), sets, num_items


@settings(max_examples=60)
@given(cases())
def test_properties(case: tuple[np.ndarray, list[set[int]], int]) -> None:
    ranked, sets, num_items = case
    ks = list(range(1, num_items + 1))
    users = np.arange(len(ranked), dtype=np.int32)
    test = held_out(sets, num_items)
    found = rank_metrics(ranked, users, test, ks)
    for name in METRICS:
        values = np.stack([found.per_user[f"{name}@{k}"] for k in ks])
        assert (values >= 0).all() and (values <= 1 + 1e-12).all()
        if name in ("recall", "hr", "mrr"):
            assert (np.diff(values, axis=0) >= 0).all()
    turned = users[::-1].copy()
    again = rank_metrics(ranked[turned], turned, test, ks)
    for name, values in found.per_user.items():
        np.testing.assert_array_equal(again.per_user[name], values[turned])


@settings(max_examples=40)
@given(cases())
def test_the_ideal_list_gives_one(case: tuple[np.ndarray, list[set[int]], int]) -> None:
    _, sets, num_items = case
    ideal = [sorted(range(num_items), key=lambda item, own=own: item not in own) for own in sets]
    found = judged(ideal, sets, [num_items], num_items)
    for name in ("recall", "ndcg", "hr", "mrr", "map"):
        np.testing.assert_allclose(found[f"{name}@{num_items}"], 1.0)


def test_equals_scikit_learn(rng: np.random.Generator) -> None:
    scores = rng.permuted(
        np.tile(np.arange(50, dtype=np.float32), (30, 1)), axis=1
    )  # no ties: theirs are averaged
    relevant = rng.random((30, 50)) < 0.2
    relevant[:, 0] = True
    ranked = top_k(scores, 10).items
    found = rank_metrics(
        ranked, np.arange(30, dtype=np.int32), sparse.csr_matrix(relevant.astype(np.float32)), [10]
    )
    assert found.overall["ndcg@10"] == pytest.approx(ndcg_score(relevant, scores, k=10), abs=1e-12)


class TestTraps:
    """One user with 3 held-out items, of which the list of 5 hits one at rank 2: each wrong
    definition gives another value.
    """

    found = judged([[0, 7, 1, 2, 3]], [{7, 8, 9}], [5])

    def test_recall_divides_by_all_held_out_items(self) -> None:
        assert self.found["recall@5"] == pytest.approx([1 / 3])
        long = judged([[0, 1]], [set(range(10))], [2])
        assert long["recall@2"] == pytest.approx([2 / 10])  # not 2 / min(2, 10)

    def test_ideal_dcg_is_not_of_the_hits_alone(self) -> None:
        of_the_hits = 1.0 / np.log2(3) / 1.0
        assert self.found["ndcg@5"][0] < of_the_hits - 0.2

    def test_ideal_dcg_is_not_of_k_terms(self) -> None:
        of_k = (1 / np.log2(3)) / sum(1 / np.log2(rank + 1) for rank in range(1, 6))
        of_three = (1 / np.log2(3)) / sum(1 / np.log2(rank + 1) for rank in range(1, 4))
        assert self.found["ndcg@5"] == pytest.approx([of_three]) != pytest.approx([of_k])

    def test_ideal_dcg_stops_at_k(self) -> None:
        assert judged([[0, 1]], [{0, 1, 2, 3}], [2])["ndcg@2"] == pytest.approx([1.0])

    def test_users_without_held_out_items_are_not_averaged(self) -> None:
        test = held_out([{1}, set(), {2}], 5)
        assert evaluable_users(test).tolist() == [0, 2]
        lists = np.array([[1], [0], [2]], np.int32)
        with pytest.raises(UsageError, match="user 1 "):
            rank_metrics(lists, np.arange(3, dtype=np.int32), test, [1])


def test_padding_is_never_a_hit() -> None:
    # −1 would read the last column of a user's row if it were taken for an id.
    matches = match(
        np.array([[NO_ITEM, NO_ITEM]], np.int32), np.array([1], np.int32), held_out([{4}, {4}], 5)
    )
    assert not matches.hit.any()
    found = judged([[2, NO_ITEM], [NO_ITEM, NO_ITEM]], [{2}, {0}], [2])
    assert found["recall@2"].tolist() == [1, 0] and found["precision@2"].tolist() == [0.5, 0]


def test_k_beyond_the_list_counts_empty_places() -> None:
    found = judged([[3, 1]], [{1}], [1, 5])
    assert found["precision@5"] == pytest.approx([1 / 5]) and found["recall@1"].tolist() == [0]


@pytest.mark.parametrize("ks", [[], [0], [5, -1]])
def test_list_lengths_below_one_are_refused(ks: list[int]) -> None:
    with pytest.raises(UsageError, match="list lengths"):
        judged([[1]], [{1}], ks)


def test_no_users_is_an_error_not_a_nan() -> None:
    with pytest.raises(UsageError, match="no user with held-out items"):
        rank_metrics(np.empty((0, 5), np.int32), np.empty(0, np.int32), held_out([set()], 5), [5])

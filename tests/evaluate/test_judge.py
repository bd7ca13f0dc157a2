"""Ranked lists made elsewhere: judged as ours are, odd rows counted, wrong tables refused."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.core.errors import DataError
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.ranking import top_k
from recsys.core.tables import ITEM, USER
from recsys.evaluate.judge import Judgement, judge
from recsys.evaluate.metrics import evaluable_users, rank_metrics

USERS, ITEMS = ["a", "b", "c"], ["p", "q", "r", "s"]
TEST = sparse.csr_matrix(np.array([[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))


@pytest.fixture(scope="module")
def train() -> Interactions:
    rows = pl.DataFrame(
        {USER: [0, 1, 2, 2, 2, 2], ITEM: [0, 1, 0, 1, 2, 3]},
        schema={USER: pl.Int32, ITEM: pl.Int32},
    )
    users, items = IdMap(pl.Series(USERS), "user"), IdMap(pl.Series(ITEMS), "item")
    return fit_interactions(rows, users, items, ("buy",))


def run(train: Interactions, ks: list[int] | None = None, **columns: list) -> Judgement:
    return judge(pl.DataFrame(columns), train, TEST, ks or [2], seen=train.matrix())


def test_by_rank_and_by_score_are_the_same(train: Interactions) -> None:
    by_rank = run(train, user_id=["a", "b", "a"], item_id=["q", "r", "r"], rank=[2, 1, 1])
    by_score = run(train, user_id=["a", "b", "a"], item_id=["q", "r", "r"], score=[0.5, 9.0, 0.7])
    for one in (by_rank, by_score):
        assert one.ranked.tolist() == [[2, 1], [2, -1]]
        assert one.ranking.per_user["recall@2"].tolist() == [0.5, 1.0]
        assert one.ranking.per_user["mrr@2"].tolist() == [0.5, 1.0]
        assert one.counts == {}


def test_lists_of_unknown_items_alone_are_all_misses(train: Interactions) -> None:
    found = run(train, user_id=["a"], item_id=["zz"], rank=[1])
    assert found.ranking.overall["recall@2"] == 0.0
    assert found.counts["unknown item, kept as a miss"] == 1


def test_rank_decides_over_score(train: Interactions) -> None:
    both = run(train, user_id=["a", "a"], item_id=["q", "r"], rank=[1, 2], score=[0.0, 1.0])
    assert both.ranked[0].tolist() == [1, 2]


def test_equal_scores_go_by_item_id(train: Interactions) -> None:
    assert run(train, user_id=["a", "a"], item_id=["s", "q"], score=[1, 1]).ranked[0].tolist() == [
        1,
        3,
    ]


def test_equals_our_own_evaluation(rng: np.random.Generator) -> None:
    taken = rng.random((30, 20)) < 0.3
    taken[0] = taken[:, 0] = True
    pairs = np.argwhere(taken).astype(np.int32)
    ids = [f"{n:02}" for n in range(30)]
    rows = pl.DataFrame({USER: pairs[:, 0], ITEM: pairs[:, 1]})
    train = fit_interactions(rows, IdMap(pl.Series(ids)), IdMap(pl.Series(ids[:20])), ("buy",))
    test = sparse.csr_matrix(((rng.random((30, 20)) < 0.2) & ~taken).astype(np.float32))
    users = evaluable_users(test)
    scores = np.where(taken, -np.inf, rng.random((30, 20))).astype(np.float32)[users]
    hits = top_k(scores, 5)
    row, place = np.nonzero(hits.items >= 0)
    table = pl.DataFrame(
        {
            "user_id": [ids[users[one]] for one in row],
            "item_id": [ids[item] for item in hits.items[row, place]],
            "score": hits.scores[row, place],
        }
    )
    found = judge(table.sample(fraction=1, shuffle=True, seed=0), train, test, [5], train.matrix())
    expected = rank_metrics(hits.items, users, test, [5])
    assert found.ranked.tolist() == hits.items.tolist() and dict(found.ranking.overall) == dict(
        expected.overall
    )


def test_odd_rows_are_counted_and_are_misses(train: Interactions) -> None:
    found = run(
        train,
        user_id=["a", "a", "a", "zoe", "c"],
        item_id=["p", "unheard of", "q", "p", "q"],
        rank=[1, 2, 3, 1, 1],
    )
    assert found.ranked.tolist() == [[-1, -1], [-1, -1]]
    assert dict(found.counts) == {
        "unknown user": 1,
        "user without held-out items": 1,
        "beyond rank 2": 1,
        "unknown item, kept as a miss": 1,
        "seen in train, kept as a miss": 1,
        "test user without a list": 1,
    }
    assert found.ranking.overall["recall@2"] == 0


def test_numeric_ids_are_read_as_text(train: Interactions) -> None:
    rows = pl.DataFrame({USER: [0, 1], ITEM: [0, 1]}, schema={USER: pl.Int32, ITEM: pl.Int32})
    ids = IdMap(pl.Series(["1", "2"]))
    numbered = fit_interactions(rows, ids, ids, ("buy",))
    test = sparse.csr_matrix(np.array([[0, 1], [0, 0]], dtype=np.float32))
    found = judge(pl.DataFrame({"user_id": [1], "item_id": [2], "rank": [1]}), numbered, test, [1])
    assert found.ranking.overall["hr@1"] == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": ["a"], "rank": [1]}, "no column 'item_id'"),
        ({"user_id": ["a"], "item_id": ["p"]}, "no column 'score'"),
        (
            {"user_id": ["a", "a"], "item_id": ["p", "p"], "rank": [1, 2]},
            "repeat an item.*user 'a', item 'p'",
        ),
        (
            {"user_id": ["a", "a"], "item_id": ["p", "q"], "rank": [0, 1]},
            "break the ranks.*start at 1",
        ),
        (
            {"user_id": ["a", "a"], "item_id": ["p", "q"], "rank": [1, 3]},
            "break the ranks.*item 'q'",
        ),
        ({"user_id": ["a", "a"], "item_id": ["p", "q"], "rank": [1, 1]}, "break the ranks"),
        (
            {"user_id": ["a"], "item_id": ["p"], "score": [float("nan")]},
            "empty user, item or score",
        ),
        ({"user_id": ["a"], "item_id": [None], "score": [1.0]}, "empty user, item or score"),
        ({"user_id": ["a"], "item_id": ["p"], "score": ["high"]}, "not a number"),
    ],
)
def test_wrong_tables_are_refused(
    train: Interactions, columns: dict[str, list], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(train, **columns)

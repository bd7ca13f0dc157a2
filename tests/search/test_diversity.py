"""Maximal marginal relevance against the formula, and its two ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.errors import UsageError
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.diversity import diversified


def naive(items, scores, vectors, diversity, k):
    """Greedy by the definition, every sum anew."""
    spread = (scores.max() - scores.min()) or 1.0

    def cosine(a: int, b: int) -> float:
        lengths = np.linalg.norm(vectors[a]) * np.linalg.norm(vectors[b])
        return float(vectors[a] @ vectors[b] / lengths)

    left, chosen = list(range(len(items))), []
    while left and len(chosen) < k:
        value = {
            place: (1 - diversity) * (scores[place] - scores.min()) / spread
            - diversity * max((cosine(items[place], items[one]) for one in chosen), default=0.0)
            for place in left
        }
        best = max(left, key=lambda place: (round(value[place], 9), -place))
        chosen.append(best)
        left.remove(best)
    return [items[place] for place in chosen]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.integers(1, 12))
def test_it_is_the_greedy_definition(seed, diversity, k):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(30, 5)).astype(np.float32)
    items = rng.permutation(30)[:10].astype(np.int32)
    scores = -np.sort(-rng.normal(size=10)).astype(np.float32)
    found = diversified(Hits(items[None], scores[None]), vectors, diversity, k)
    assert found.items[0].tolist() == naive(items, scores, vectors, diversity, k)
    place = dict(zip(items, scores, strict=True))
    assert found.scores[0].tolist() == [place[item] for item in found.items[0]]


def test_twins_are_taken_apart_by_hand():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    hits = Hits(np.array([[0, 1, 2]], np.int32), np.array([[3.0, 2.0, 1.0]], np.float32))
    # relevance 1, ½, 0; after item 0 its twin is worth ½·½ − ½·1 = −¼, the other ½·0 − ½·0 = 0
    assert diversified(hits, vectors, 0.5, 3).items[0].tolist() == [0, 2, 1]
    assert diversified(hits, vectors, 0.2, 3).items[0].tolist() == [
        0,
        1,
        2,
    ]  # 0.8·½ − 0.2 = 0.2 > 0


def test_short_lists_keep_their_padding_behind():
    hits = Hits(
        np.array([[2, 1, NO_ITEM], [NO_ITEM] * 3], np.int32),
        np.array([[2, 1, -np.inf], [-np.inf] * 3], np.float32),
    )
    found = diversified(hits, np.eye(3, dtype=np.float32), 0.7, 3)
    assert found.items.tolist() == [[2, 1, NO_ITEM], [NO_ITEM] * 3]
    assert diversified(hits, np.eye(3, dtype=np.float32), 0.7, 2).items.shape == (2, 2)


def test_pages_of_a_bent_list_fit_together(lookup):
    def page(k, offset=0):
        [answer] = lookup.recommend(["u04"], k, diversity=0.6, popularity=0.1, offset=offset)
        return answer["items"]

    whole = page(40)
    assert page(5) + page(5, 5) + page(30, 10) == whole
    assert [item["rank"] for item in page(3, 4)] == [5, 6, 7]
    assert {item["id"] for item in whole} == {
        item["id"] for item in lookup.recommend(["u04"], 40)[0]["items"]
    }
    assert page(5) != lookup.recommend(["u04"], 5, popularity=0.1)[0]["items"]
    assert page(5, 1_000) == []


def test_wrong_pages_and_diversities(lookup):
    for wrong in ({"diversity": 1.1}, {"diversity": float("nan")}, {"offset": -1}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            lookup.recommend(["u04"], **wrong)


def test_a_long_list_may_be_ended_between_its_places() -> None:
    draw = np.random.default_rng(0)
    hits = Hits(np.arange(35)[np.newaxis].astype(np.int32), np.ones((1, 35), np.float32))
    steps = []
    diversified(
        hits, draw.normal(size=(35, 4)).astype(np.float32), 0.5, 35, lambda: steps.append(1)
    )
    assert len(steps) == 1 + 3  # before the list, and after 10, 20 and 30 places

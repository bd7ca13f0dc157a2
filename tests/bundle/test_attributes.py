"""Filters by attributes against reading every row, alone and with everything else that narrows a
list.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.bundle.attributes import ItemAttributes, read_attributes_of
from recsys.bundle.bundle import Bundle
from recsys.core.errors import UsageError
from recsys.core.tables import AVAILABLE, TITLE
from recsys.encode.history_scores import HistoryScores
from recsys.lookup.lookup import Lookup
from recsys.search.popularity_boost import with_popularity
from recsys.search.tuning import settings as index_settings
from worlds import ITEMS, make_contents, write_world

GENRES = [["Comedy", "Drama"], ["Drama"], [], ["Noir"], None]
TABLE = pl.DataFrame(
    {
        TITLE: [f"Film {one}" for one in range(ITEMS)],
        AVAILABLE: [one != 7 for one in range(ITEMS)],
        "genres": [GENRES[one % 5] for one in range(ITEMS)],
        "moods": ["dark|slow", " light ", "", None] * (ITEMS // 4),
        "year": [1990 + one % 3 for one in range(ITEMS)],
        "price": [one / 2 for one in range(ITEMS)],
    },
    schema_overrides={"genres": pl.List(pl.String)},
)
VALUES = {
    "genres": ["Comedy", "Drama", "Noir"],
    "moods": ["dark", "slow", "light"],
    "year": [1990, "1991", 1992],
}


def having(item, column, wanted):
    """Whether an item has one of the values, read off its row."""
    cell = TABLE[column][item]
    found = cell.to_list() if isinstance(cell, pl.Series) else str(cell or "").split("|")
    return bool({str(value) for value in wanted} & {str(one).strip() for one in found})


@st.composite
def filters(draw):
    columns = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=3))
    return {
        column: draw(st.lists(st.sampled_from(VALUES[column]), min_size=1, max_size=3))
        for column in columns
    }


@pytest.fixture(scope="module", params=["exact", "hnsw", "blended", "blended ivf"])
def lookup(request, tmp_path_factory):
    contents = replace(make_contents(), item_table=TABLE, separators={"moods": "|"})
    vectors, counts = contents.embeddings.items, contents.interactions.popularity("buy")
    if "blended" in request.param:
        rng = np.random.default_rng(3)
        table = sparse.csr_matrix(
            rng.random((ITEMS, ITEMS)) * (rng.random((ITEMS, ITEMS)) < 0.2), dtype=np.float32
        )
        into, back = (rng.normal(size=(ITEMS, rank)).astype(np.float32) for rank in (3, 3))
        bought = contents.interactions.matrix(("buy",))
        contents = replace(contents, added=HistoryScores(table, into, back), histories=bought)
        vectors = np.hstack([vectors, back])
    if kind := {"hnsw": "hnsw", "blended ivf": "ivf"}.get(request.param):
        *_, built = index_settings(kind, with_popularity(vectors, counts)[0], 5, 0)
        card = {
            "kind": kind,
            "parameters": built.searcher.parameters,
            "dial": {"parameters": built.searcher.parameters},
        }
        contents = replace(contents, index=built.searcher, index_card=card)
    return Lookup(Bundle.load(write_world(tmp_path_factory.mktemp("bundles"), contents)))


@settings(max_examples=60)
@given(filters(), st.data())
def test_filtered_lists_are_those_of_a_plain_sort(lookup, asked, data):
    """k items whenever k are allowed, and the right ones: filters, allow, deny, availability, seen,
    dial.
    """
    user, k, dial = (
        data.draw(st.integers(0, 29)),
        data.draw(st.integers(1, ITEMS)),
        data.draw(st.sampled_from([0, 0.2, -1])),
    )
    ids = st.lists(st.integers(0, ITEMS - 1), unique=True)
    allow, deny = data.draw(st.none() | ids), data.draw(ids)
    named = {
        "allow": None if allow is None else [f"i{one:02}" for one in allow],
        "deny": [f"i{one:02}" for one in deny],
    }
    [answer] = lookup.recommend([f"u{user:02}"], k, filters=asked, popularity=dial, **named)
    bundle = lookup.bundle
    seen = set(bundle.seen["buy"][user].indices.tolist())
    left = [
        item
        for item in range(ITEMS)
        if item != 7 and item not in seen and item not in deny and (allow is None or item in allow)
        and all(having(item, column, wanted) for column, wanted in asked.items())
    ]  # fmt: skip
    scores = bundle.scorer.score(np.array([user], np.int32))[0] + dial * np.log1p(
        bundle.popularity[2]
    )
    best = sorted(scores[left], reverse=True)[:k]
    found = [int(item["id"][1:]) for item in answer["items"]]
    assert len(found) == len(set(found)) == min(k, len(left)) and set(found) <= set(left)
    assert [item["score"] for item in answer["items"]] == pytest.approx(best, abs=1e-4)
    assert scores[found] == pytest.approx(np.array(best), abs=1e-4)


def test_one_value_and_several(lookup):
    [one] = lookup.recommend(["u04"], 40, filters={"genres": "Comedy"}, exclude_seen=False)
    [several] = lookup.recommend(
        ["u04"], 40, filters={"genres": ("Comedy", "Noir")}, exclude_seen=False
    )
    assert len(one["items"]) == 8 and len(several["items"]) == 16
    assert lookup.recommend(["u04"], 40, filters={})[0] == lookup.recommend(["u04"], 40)[0]
    assert lookup.recommend(["u04"], 40, filters={"genres": []})[0]["items"] == []


def test_unknown_columns_and_values_are_refused_with_the_nearest(lookup):
    with pytest.raises(UsageError, match=r"no attribute 'genre'.*'genres'"):
        lookup.recommend(["u04"], filters={"genre": "Comedy"})
    with pytest.raises(UsageError, match=r"no item has genres = 'Comdy'.*'Comedy'"):
        lookup.recommend(["u04"], filters={"genres": ["Drama", "Comdy"]})
    for column in (TITLE, AVAILABLE, "price"):
        with pytest.raises(UsageError, match="no attribute"):
            lookup.recommend(["u04"], filters={column: "1"})


def test_inverted_lists_by_hand(tmp_path):
    table = pl.DataFrame({"item_id": ["a", "b", "c"], "tags": [["y", "x", "y"], None, ["x"]]})
    found = read_attributes_of(table, {})
    assert found.named.rows() == [("tags", "x"), ("tags", "y")]
    assert found.lists.toarray().tolist() == [[1, 0, 1], [1, 0, 0]]
    found.save(tmp_path)
    again = ItemAttributes.load(tmp_path, table)
    assert again.allowed({"tags": "x"}).tolist() == [True, False, True]
    assert ItemAttributes.load(tmp_path / "older", table).allowed({"tags": ["y"]}).tolist() == [
        True,
        False,
        False,
    ]


def test_a_catalogue_without_attributes():
    found = read_attributes_of(pl.DataFrame({"item_id": ["a", "b"]}), {})
    assert found.allowed({}).tolist() == [True, True]
    with pytest.raises(UsageError, match="no attribute 'genres'"):
        found.allowed({"genres": "x"})

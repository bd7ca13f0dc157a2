"""Filters by attributes against reading every row, alone and with everything else that narrows a
list.
"""

import operator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from boosts import naive_factor
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
        "price": [one / 2 if one % 9 else None for one in range(ITEMS)],
    },
    schema_overrides={"genres": pl.List(pl.String)},
)
VALUES = {
    "genres": ["Comedy", "Drama", "Noir"],
    "moods": ["dark", "slow", "light"],
    "year": [1990, "1991", 1992],
}
BOUNDS = {"gte": operator.ge, "gt": operator.gt, "lte": operator.le, "lt": operator.lt}


def values_of(item, column):
    """The values of an item in a column, as text, read off its row."""
    cell = TABLE[column][item]
    cells = cell.to_list() if isinstance(cell, pl.Series) else str(cell or "").split("|")
    return {str(one).strip() for one in cells}


def holds(item, column, wanted):
    """Whether an item is what a filter asks for, by its definition."""
    if not isinstance(wanted, dict):
        wanted = {"any": wanted}
    values = values_of(item, column)
    lists = {name: {str(one) for one in wanted.get(name, ())} for name in ("any", "all", "none")}
    if "any" in wanted and not lists["any"] & values:
        return False
    if not lists["all"] <= values or lists["none"] & values:
        return False
    bounds = [(BOUNDS[name], wanted[name]) for name in BOUNDS if wanted.get(name) is not None]
    if not bounds:
        return True
    cell = TABLE[column][item]
    return cell is not None and all(compare(cell, bound) for compare, bound in bounds)


@st.composite
def filter_of_column(draw, column):
    several = st.lists(st.sampled_from(VALUES[column]), min_size=1, max_size=3)
    if draw(st.booleans()):
        return draw(several)
    return draw(st.fixed_dictionaries({}, optional=dict.fromkeys(("any", "all", "none"), several)))


@st.composite
def range_of(draw, least, most):
    low, high = sorted(draw(st.tuples(st.integers(least, most), st.integers(least, most))))
    kinds = draw(st.tuples(st.sampled_from(["gte", "gt"]), st.sampled_from(["lte", "lt"])))
    ends = dict(zip(kinds, (low, high), strict=True))
    return draw(st.sampled_from([ends, {kinds[0]: low}, {kinds[1]: high}]))


@st.composite
def filters(draw):
    columns = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=3))
    asked = {column: draw(filter_of_column(column)) for column in columns}
    if draw(st.booleans()):
        asked["price"] = draw(range_of(0, 20))
    if draw(st.booleans()) and isinstance(asked.get("year", {}), dict):
        asked["year"] = {**asked.get("year", {}), **draw(range_of(1989, 1993))}
    return asked


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
        and all(holds(item, column, wanted) for column, wanted in asked.items())
    ]  # fmt: skip
    scores = bundle.scorer.score(np.array([user], np.int32))[0]
    factor = naive_factor(bundle, scores, seen, dial)
    scores = scores + factor * np.log1p(bundle.popularity[2])
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


def test_a_value_that_no_item_has_is_told_and_the_others_count(lookup):
    note = "no item has genres = 'Comdy'. Did you mean 'Comedy'?"
    [alone] = lookup.recommend(["u04"], 5, filters={"genres": "Comdy"})
    assert alone["items"] == [] and alone["note"].endswith(f"0 may be recommended. {note}")
    [other] = lookup.recommend(["u04"], 5, filters={"genres": ["Drama", "Comdy"]})
    [drama] = lookup.recommend(["u04"], 5, filters={"genres": "Drama"})
    assert other["items"] == drama["items"] and other["note"].endswith(note)


def test_unknown_columns_are_refused_with_the_nearest(lookup):
    with pytest.raises(UsageError, match=r"no attribute 'genre'.*'genres'"):
        lookup.recommend(["u04"], filters={"genre": "Comedy"})
    for column in (TITLE, AVAILABLE):
        with pytest.raises(UsageError, match="no attribute"):
            lookup.recommend(["u04"], filters={column: "1"})


def test_none_all_and_ranges_by_hand(lookup):
    def ids(**asked):
        [answer] = lookup.recommend(["u04"], 40, filters=asked, exclude_seen=False)
        return {int(item["id"][1:]) for item in answer["items"]}

    everything = set(range(ITEMS)) - {7}
    comedies = {one for one in everything if one % 5 == 0}
    assert ids(genres={"all": ["Comedy", "Drama"]}) == comedies
    assert ids(genres={"all": ["Comedy", "Noir"]}) == set()
    assert ids(genres={"none": ["Comedy"]}) == everything - comedies
    assert ids(genres={"any": ["Drama"], "none": "Comedy"}) == {
        one for one in everything if one % 5 == 1
    }
    assert ids(year={"gte": 1991}) == {one for one in everything if one % 3 > 0}
    assert ids(year={"gt": 1990, "lt": 1992}) == ids(year=[1991.0])
    assert ids(price={"gte": 1, "lt": 2}) == {2, 3}
    assert ids(price={}, genres={}) == everything


def test_ranges_that_cannot_be_and_that_hold_nothing(lookup):
    with pytest.raises(UsageError, match=r"genres holds no numbers.*'Comedy'"):
        lookup.recommend(["u04"], filters={"genres": {"gte": 1}})
    with pytest.raises(UsageError, match=r"price holds numbers with a fraction.*range"):
        lookup.recommend(["u04"], filters={"price": "1"})
    [answer] = lookup.recommend(["u04"], filters={"year": {"gte": 2000}})
    assert answer["items"] == []
    assert answer["note"].endswith("no year is in that range: they are 1990 to 1992")


def test_many_values_that_there_are_not_are_told_shortly(lookup):
    [answer] = lookup.recommend(["u04"], filters={"genres": [f"no {one}" for one in range(90)]})
    assert answer["note"].endswith("85 further values of genres no item has")
    assert answer["note"].count("no item has genres") == 5


def test_numbers_in_lists_and_texts():
    """A range asks for one number of an item; what is no number is in none."""
    table = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "sizes": [[36, 44], [40], None, [50]],
            "size": ["36|44", "40", "one size", "inf"],
        }
    )
    found = read_attributes_of(table, {"size": "|"})
    for column in ("sizes", "size"):
        assert (
            found.allowed({column: {"gt": 36, "lt": 44}})[0].tolist() == [False, True] + [False] * 2
        )
        assert found.allowed({column: {"lte": 36}})[0].tolist() == [True] + [False] * 3
    assert found.allowed({"size": {"gte": 36}})[0].tolist() == [True, True, False, False]


def test_inverted_lists_by_hand(tmp_path):
    table = pl.DataFrame({"item_id": ["a", "b", "c"], "tags": [["y", "x", "y"], None, ["x"]]})
    found = read_attributes_of(table, {})
    assert found.named.rows() == [("tags", "x"), ("tags", "y")]
    assert found.lists.toarray().tolist() == [[1, 0, 1], [1, 0, 0]]
    found.save(tmp_path)
    again = ItemAttributes.load(tmp_path, table)
    assert again.allowed({"tags": "x"})[0].tolist() == [True, False, True]
    older = ItemAttributes.load(tmp_path / "older", table)
    assert older.allowed({"tags": ["y"]})[0].tolist() == [True, False, False]


def test_a_catalogue_without_attributes():
    found = read_attributes_of(pl.DataFrame({"item_id": ["a", "b"]}), {})
    assert found.allowed({})[0].tolist() == [True, True]
    with pytest.raises(UsageError, match="no attribute 'genres'"):
        found.allowed({"genres": "x"})

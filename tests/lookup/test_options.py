"""What may be asked of a list, and that it is called the same everywhere."""

import inspect
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.commands.list_flags import LIST, QUERY
from recsys.bundle.filters import Filter, read_filters
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Lookup
from recsys.lookup.options import ListKeywords, ListOptions, list_options
from recsys.lookup.query import Query
from serving.bodies.lists import QueryBody, RecommendBody, RecommendQuery
from serving.client import Query as ClientQuery

NAMES = set(ListOptions.model_fields)


def test_the_same_names_in_python_over_http_and_on_the_command_line() -> None:
    assert set(get_type_hints(ListKeywords)) == NAMES - {"k"}
    assert set(RecommendBody.model_fields) == NAMES | {"requests"}
    assert set(RecommendQuery.model_fields) == NAMES | {"user", "filter", "category"}
    old_flags = {"include_seen", "reasons"}
    assert set(LIST.flags) == NAMES | {"allow_file", "deny_file"} | old_flags


def test_the_same_names_of_who_is_asked_about() -> None:
    # Whether popularity answers is the service's to say, in an experiment.
    names = set(inspect.signature(Query).parameters) - {"popular"}
    assert set(QueryBody.model_fields) == names == set(get_type_hints(ClientQuery))
    assert {"user", "history"} <= set(QUERY.flags)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"k": 0}, "k = 0: .*Length of the list"),
        ({"k": 2.5}, "k = 2.5"),
        ({"offset": -1}, "offset = -1"),
        ({"diversity": 1.5}, "diversity = 1.5: .*from 0 to 1"),
        ({"popularity": float("nan")}, "popularity = nan"),
        ({"exclude_seen": 3}, "exclude_seen = 3"),
        ({"allow": 5}, "allow = 5"),
        ({"deny": ["i1", None]}, "deny = .*one of the ids is missing"),
        ({"filters": ["x"]}, "filters = "),
        (
            {"filters": {"year": {"from": 1990}}},
            "filter of 'year': 'from' is none of any, all, none",
        ),
        ({"filters": {"year": {"gte": "old"}}}, "filter of 'year': gte: .*number"),
        ({"filters": {"year": {"gte": 2000, "lt": 1990}}}, "gte 2000 is above lt 1990"),
        ({"filters": {"year": {"lte": float("inf")}}}, "filter of 'year': lte: .*finite"),
        ({"popularty": 1}, "unknown option 'popularty'.*'popularity'"),
    ],
)
def test_what_cannot_be_is_named(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        list_options(**options)


def test_ids_and_numbers_of_any_kind() -> None:
    options = list_options(
        k=np.int64(3),
        popularity=np.float32(0.5),
        allow=np.array([4, 2]),
        deny=(2.0, "x"),
        filters={"year": {1999}, "genre": "drama"},
    )
    assert (options.k, options.popularity) == (3, 0.5)
    assert (options.allow, options.deny) == (("4", "2"), ("2", "x"))
    assert options.filters == {"year": Filter(any=("1999",)), "genre": Filter(any=("drama",))}


def test_equal_options_are_one_key() -> None:
    one, same, other = (list_options(filters={"genre": value}) for value in ("a", ["a"], "b"))
    assert len({one, same, other}) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", {"any": ["a"]}),
        (["a", "b"], {"any": ("a", "b", "a")}),
        ({"gte": 1990}, {"gte": 1990.0, "all": []}),
        ({"none": 1990.0}, {"none": ["1990"]}),
        (True, "true"),
        (np.float32(1990), 1990),
    ],
)
def test_filters_that_ask_for_the_same_are_equal(one: object, other: object) -> None:
    options, others = (list_options(filters={"genre": asked}) for asked in (one, other))
    assert options == others and hash(options) == hash(others)


def test_filters_by_pairs_of_text() -> None:
    """As a query and flags have them, and every column and value can be written."""
    pairs = [("genres", "a"), ("genres", "b.all:x"), ("genres.none", "!c"), ("year.gte", "1990")]
    assert read_filters(pairs) == {
        "genres": Filter(any=("a", "b.all:x"), none=("!c",)),
        "year": Filter(gte=1990),
    }
    assert read_filters([("odd.all.any", "x"), ("odd.name", "y"), (".all", "z")]) == {
        "odd.all": Filter(any=("x",)),
        "odd.name": Filter(any=("y",)),
        ".all": Filter(any=("z",)),
    }
    for pair, told in (("year.gte", "given twice"), ("genres.lt", "genres.*lt: .*number")):
        with pytest.raises(UsageError, match=told):
            read_filters([("year.gte", "1990"), (pair, "x")])


filter_values = st.lists(st.text(min_size=1).map(str.strip).filter(bool), unique=True)
bounds = st.none() | st.floats(-1e6, 1e6)


@given(filter_values, filter_values, filter_values, bounds, bounds, st.text(min_size=1))
def test_what_a_body_can_ask_for_pairs_can(any_of, all_of, none_of, low, high, column) -> None:
    assume(low is None or high is None or low <= high)
    filter = Filter(any=any_of or None, all=all_of, none=none_of, gte=low, lt=high)
    pairs = [(f"{column}.any", value) for value in any_of]
    pairs += [(f"{column}.all", value) for value in all_of]
    pairs += [(f"{column}.none", value) for value in none_of]
    if low is not None:
        pairs.append((f"{column}.gte", repr(low)))
    if high is not None:
        pairs.append((f"{column}.lt", repr(high)))
    assume(pairs)
    assert read_filters(pairs) == {column: filter}


def test_the_old_name_of_explain_is_understood(lookup: Lookup) -> None:
    with pytest.warns(FutureWarning, match="'reasons' is called 'explain'"):
        old = lookup.recommend(["u04"], 2, reasons=True)  # type: ignore[call-arg]
    assert old == lookup.recommend(["u04"], 2, explain=True)
    for item in old[0]["items"]:
        assert item["because"] == item["reasons"]

"""What may be asked of a list, and that it is called the same everywhere."""

import inspect
from typing import get_type_hints

import numpy as np
import pytest

from pipelines.commands.list_flags import LIST, QUERY
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Lookup
from recsys.lookup.options import ListKeywords, ListOptions, list_options
from recsys.lookup.query import Query
from serving.bodies import QueryBody, RecommendBody, RecommendQuery
from serving.client import Query as ClientQuery

NAMES = set(ListOptions.model_fields)


def test_the_same_names_in_python_over_http_and_on_the_command_line() -> None:
    assert set(get_type_hints(ListKeywords)) == NAMES - {"k"}
    assert set(RecommendBody.model_fields) == NAMES | {"requests"}
    assert set(RecommendQuery.model_fields) == NAMES | {"user", "filter", "category"}
    old_flags = {"include_seen", "reasons"}
    assert set(LIST.flags) == NAMES | {"allow_file", "deny_file"} | old_flags


def test_the_same_names_of_who_is_asked_about() -> None:
    names = set(inspect.signature(Query).parameters)
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
    assert options.filters == {"year": ("1999",), "genre": ("drama",)}


def test_equal_options_are_one_key() -> None:
    one, same, other = (list_options(filters={"genre": value}) for value in ("a", ["a"], "b"))
    assert len({one, same, other}) == 2


def test_the_old_name_of_explain_is_understood(lookup: Lookup) -> None:
    with pytest.warns(FutureWarning, match="'reasons' is called 'explain'"):
        old = lookup.recommend(["u04"], 2, reasons=True)  # type: ignore[call-arg]
    assert old == lookup.recommend(["u04"], 2, explain=True)
    for item in old[0]["items"]:
        assert item["because"] == item["reasons"]

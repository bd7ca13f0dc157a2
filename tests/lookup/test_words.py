"""Reasons in words: true to the parts they stand for."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from explaining import explanations_of, require_same_reasons
from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.segments import count_segments
from recsys.core.tables import TITLE
from recsys.lookup.cold_start import Request
from recsys.lookup.explanations.parts import Part
from recsys.lookup.explanations.words import _escaped, reasons_of
from recsys.lookup.lookup import Lookup
from worlds import ITEMS, USERS, make_contents, write_world

NOBODY = np.empty(0, np.int32)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The world with genres: item 1 and 2 share sci-fi and drama, of which sci-fi is the rarer."""
    contents = make_contents()
    genres = [["drama"]] * ITEMS
    genres[0], genres[1], genres[2] = ["sci-fi"], ["sci-fi", "drama"], ["drama", "sci-fi"]
    titles = pl.Series(
        TITLE, ["Arrival", "Alien", "Blade Runner", *(f"Film {one}" for one in range(3, ITEMS))]
    )
    table = contents.item_table.with_columns(titles, genres=pl.Series(genres))
    cities = count_segments(
        pl.Series("home_city", ["Bonn"] * USERS),
        contents.interactions.matrix(("buy",)),
        np.ones(USERS),
    )
    changed = replace(contents, item_table=table, user_segments=cities)
    return Bundle.load(write_world(tmp_path_factory.mktemp("films"), changed))


def said(bundle: Bundle, item: int, *parts: Part) -> list[str]:
    request = Request("model", np.zeros(8, np.float32), NOBODY, [], 0)
    [reasons] = reasons_of(bundle, explanations_of(item, parts), request)
    return [one["text"] for one in reasons]


def item_part(item: int, value: float, behavior: str = "buy") -> Part:
    return Part(f"rev_{behavior}", "item", item, value)


def test_items_and_the_rarest_value_in_common(films: Bundle) -> None:
    assert said(films, 0, item_part(1, 0.3), item_part(2, 0.2)) == [
        "because of *Alien* and *Blade Runner* (genres: sci-fi)"
    ]
    assert said(films, 2, item_part(1, 0.3)) == ["because of *Alien* (genres: sci-fi)"]
    assert said(films, 0, item_part(1, 0.3), item_part(5, 0.2)) == [
        "because of *Alien* and *Film 5*"
    ]
    four = [item_part(item, 0.1) for item in (3, 4, 5, 6)]
    assert said(films, 8, *four) == ["because of *Film 3*, *Film 4* and *Film 5* (genres: drama)"]


def test_other_behaviours_say_so(films: Bundle) -> None:
    assert said(films, 0, item_part(1, 0.3, "view")) == [
        "because of *Alien*, which you viewed (genres: sci-fi)"
    ]
    assert said(films, 1, item_part(1, 0.3, "view")) == ["you viewed it before"]


def test_friends_who_had_it_or_not(films: Bundle) -> None:
    item = int(films.seen["buy"].indices[0])
    had = np.flatnonzero(films.seen["buy"].toarray()[:, item])
    others = np.setdiff1d(np.arange(USERS), had)
    friends = [Part("rev_trusts", "user", int(one), 0.1) for one in had[:2]]
    assert said(films, item, friends[0]) == ["a friend bought it"]
    if len(friends) > 1:
        assert said(films, item, *friends) == ["2 friends bought it"]
    assert said(films, item, Part("rev_trusts", "user", int(others[0]), 0.1)) == [
        "what friends go for"
    ]
    assert said(films, item, Part("similar_users", "user", int(had[0]), 0.1)) == [
        "a user like you bought it"
    ]


def test_what_somebody_is_and_what_is_popular(films: Bundle) -> None:
    assert said(films, 0, Part("rev_country", "user:country", 1, 0.1)) == ["because country is fr"]
    lookup = Lookup(films)
    [segment] = lookup.recommend(attributes=[{"home_city": "Bonn"}], k=2, explain=True)
    assert [one["text"] for one in segment["items"][0]["reasons"]] == [
        "popular where home city is Bonn"
    ]
    [popular] = lookup.recommend(["stranger"], 2, explain=True, fallback="popularity")
    assert [one["text"] for one in popular["items"][0]["reasons"]] == ["popular"]
    why = lookup.explain(None, segment["items"][0]["id"], attributes={"home_city": "Bonn"})
    assert (why["score"], why["parts"]) == (segment["items"][0]["score"], [])


def test_reasons_are_codes_with_parts_too(films: Bundle) -> None:
    lookup = Lookup(films)
    why = lookup.explain("u04", lookup.recommend(["u04"], 1)[0]["items"][0]["id"])
    history = [one for one in why["reasons"] if one["code"] == "history"]
    for reason in history:
        assert reason["behavior"] in films.segments and 1 <= len(reason["items"]) <= 3
        for item in reason["items"]:
            assert f"*{item.get('title', item['id'])}*" in reason["text"]
    assert {one["code"] for one in why["reasons"]} <= {
        "history",
        "had_before",
        "people",
        "attribute",
        "trend",
        "favoured",
    }


def test_asterisks_in_names_are_escaped() -> None:
    assert _escaped("M*A*S*H") == r"M\*A\*S\*H"
    assert _escaped("a\\b") == r"a\\b"
    shown = re.split(r"(?<!\\)\*((?:\\.|[^*\\])+)\*", rf"because of *{_escaped('M*A*S*H')}*")
    assert [re.sub(r"\\(.)", r"\1", one) for one in shown] == ["because of ", "M*A*S*H", ""]


def test_what_speaks_against_is_no_reason(films: Bundle) -> None:
    assert said(films, 0, item_part(1, -0.3), Part("rev_country", "user:country", 0, -0.1)) == []
    both = said(films, 0, item_part(1, 0.1), Part("rev_country", "user:country", 0, 0.2))
    assert both == ["because country is de", "because of *Alien* (genres: sci-fi)"]


@settings(max_examples=25)
@given(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1))
def test_the_words_hold_every_part_and_parts_add_up(films: Bundle, user: int, item: int) -> None:
    found = Lookup(films).explain(f"u{user:02}", f"i{item:02}")
    score = sum(one["share"] for one in found["parts"]) + found["rest"]
    assert score == pytest.approx(found["score"], abs=1e-5)
    of_parts = sum(max(one["share"], 0.0) for one in found["parts"])
    assert sum(one["share"] for one in found["reasons"]) <= of_parts + 1e-6


def test_reasons_of_a_list_are_those_of_its_items(films: Bundle) -> None:
    lookup = Lookup(films)
    [answer] = lookup.recommend(["u04"], 4, explain=True)
    [plain] = lookup.recommend(["u04"], 4)
    assert [
        {k: v for k, v in one.items() if k not in ("reasons", "because", "parts")}
        for one in answer["items"]
    ] == plain["items"]
    for one in answer["items"]:
        require_same_reasons(one["reasons"], lookup.explain("u04", one["id"])["reasons"])


def test_an_item_without_a_title_goes_by_its_id(write: Callable[..., Path]) -> None:
    bundle = Bundle.load(write(item_table=None))
    assert said(bundle, 0, item_part(1, 0.3)) == ["because of *i01*"]
    assert sparse.issparse(bundle.attributes.lists)

"""Filters over HTTP, by GET and by POST, against what lookup gives."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from recsys.bundle.bundle import Bundle
from recsys.bundle.filters import Filter
from recsys.lookup.lookup import Lookup
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from servers import ask, running, unnamed
from serving.bodies.lists import RecommendBody, RecommendQuery
from serving.client import Client
from serving.price import Prices
from serving.settings import Settings
from worlds import ITEMS


@pytest.fixture(scope="module")
def films(films_path: Path) -> Lookup:
    return Lookup(Bundle.load(films_path))


@pytest.fixture(scope="module")
def films_address(films_path: Path) -> Iterator[str]:
    with running(Settings(films_path)) as address:
        yield address


ASKED = [
    ("filters=genres:drama", {"genres": ["drama"]}),
    ("filters=year:1995&filters=year:1996", {"year": [1995, "1996"]}),
    ("filters=year.gte:1995&filters=year.lt:2001", {"year": {"gte": 1995, "lt": 2001}}),
    ("filters=genres.none:drama", {"genres": {"none": ["drama"]}}),
    (
        "filters=genres.all:drama&filters=genres.all:comedy&filters=price.lte:20",
        {"genres": {"all": ["drama", "comedy"]}, "price": {"lte": 20}},
    ),
    ("filters=genres:west:ern", {"genres": {"any": ["west:ern"]}}),
]


@pytest.mark.parametrize(("query", "filters"), ASKED)
def test_the_same_by_query_by_body_by_the_client_and_by_lookup(
    films_address: str, films: Lookup, query: str, filters: dict
) -> None:
    status, by_query = ask(f"{films_address}/v1/recommend/u04?k=40&{query}")
    body = {"requests": [{"user": "u04"}], "k": 40, "filters": filters}
    by_body = ask(f"{films_address}/v1/recommend", body)[1]["answers"][0]
    with Client(films_address) as client:
        by_client = client.recommend("u04", 40, filters=filters)
    [expected] = films.recommend(["u04"], 40, filters=filters)
    assert status == 200
    versioned = {**expected, "model_version": by_query["model_version"]}
    assert unnamed(by_query) == unnamed(by_body) == unnamed(by_client) == versioned


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("filters=year.gte:old", 400, "filter of 'year': gte: Input should be a valid number"),
        ("filters=year.gte:1&filters=year.gte:2", 400, "given twice"),
        ("filters=genres.gte:1", 400, "genres holds no numbers"),
        ("filters=genre.none:drama", 400, "no attribute 'genre'"),
        ("filters=drama", 422, "filters"),
        ("filters=price:1.5", 400, "range"),
    ],
)
def test_wrong_filters_are_explained(
    films_address: str, query: str, status: int, told: str
) -> None:
    found, problem = ask(f"{films_address}/v1/recommend/u04?{query}")
    assert found == status and told in problem["detail"] + problem["remedy"]


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"year": {"from": 1990}}, "from"),
        ({"year": {"gte": 2000, "lte": 1990}}, "above"),
        ({"genres": {"none": ["drama"] * 101}}, "none"),
        ({"genres": {"all": ["x" * 1025]}}, "all"),
        ({"genres": {"all": [None]}}, "all"),
        ({f"c{one}": ["x"] for one in range(21)}, "filters"),
    ],
)
def test_wrong_filters_of_a_body(films_address: str, filters: dict, told: str) -> None:
    body = {"requests": [{"user": "u04"}], "filters": filters}
    status, problem = ask(f"{films_address}/v1/recommend", body)
    assert status == 422 and told in problem["detail"], problem


def test_requests_that_ask_for_the_same_are_answered_together() -> None:
    text = '{"requests": [{}], "filters": {"year": {"gte": 1990, "none": [1995]}}}'
    body = RecommendBody.model_validate_json(text).options()
    query = RecommendQuery(user="u", filters=["year.gte:1990", "year.none:1995"]).options()
    assert body == query and hash(body) == hash(query)


def test_what_can_be_filtered_tells_the_numbers(films_address: str) -> None:
    columns = ask(f"{films_address}/v1/attributes?k=2")[1]["columns"]
    of = {one["column"]: one for one in columns}
    assert (of["year"]["least"], of["year"]["most"]) == (1990, 1990 + ITEMS - 1)
    assert of["price"] == {
        "column": "price", "distinct": 0, "values": [], "least": 0.5, "most": ITEMS - 0.5,
    }  # fmt: skip
    assert "least" not in of["genres"]


def test_filters_have_a_price() -> None:
    prices = Prices(1_000_000, 64, has_index=True)
    plain = prices.lists([Query("u")], ListOptions())

    def price(**filter) -> float:
        return prices.lists([Query("u")], ListOptions(filters={"year": Filter(**filter)})) - plain

    assert 0 < price(any=("1",)) < price(any=tuple("abc")) < price(all=tuple("abc"))
    assert price(none=("1",)) == price(any=("1",)) < price(gte=1) == price(gte=1, lt=2)


def test_on_the_command_line(films_path: Path, films: Lookup) -> None:
    flags = [
        "--filter",
        "year.gte=1995",
        "--filter",
        "year.lt=2001",
        "--filter",
        "genres.none=drama",
    ]
    ran = CliRunner().invoke(
        app, ["recommend", str(films_path), "--user", "u04", "-k", "3", *flags, "--json"]
    )
    filters = {"year": {"gte": 1995, "lt": 2001}, "genres": {"none": "drama"}}
    [expected] = films.recommend(["u04"], 3, filters=filters)
    assert ran.exit_code == 0, ran.output
    for item in expected["items"]:
        assert quote(item["id"]) in ran.output

"""One small bundle for all tests of the service."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recsys.bundle.bundle import Bundle
from recsys.lookup.lookup import Lookup
from servers import running
from serving.settings import Settings
from worlds import ITEMS, make_contents, write_world


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("bundles"), make_contents())


@pytest.fixture(scope="session")
def other_bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("others"), make_contents(seed=1))


@pytest.fixture(scope="session")
def lookup(bundle_path: Path) -> Lookup:
    return Lookup(Bundle.load(bundle_path))


_GENRES = ["comedy|drama", "drama", "sci-fi", None]


@pytest.fixture(scope="session")
def films_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose items have genres, years, and prices with a fraction."""
    contents = make_contents()
    table = contents.item_table.with_columns(
        genres=pl.Series([_GENRES[one % 4] for one in range(ITEMS)]),
        year=pl.Series([1990 + one for one in range(ITEMS)]),
        price=pl.Series([one + 0.5 for one in range(ITEMS)]),
    )
    films = replace(contents, item_table=table, separators={"genres": "|"})
    return write_world(tmp_path_factory.mktemp("films"), films)


@pytest.fixture(scope="module")
def address(bundle_path: Path) -> Iterator[str]:
    with running(Settings(bundle_path)) as address:
        yield address

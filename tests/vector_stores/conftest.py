"""Every store that is installed, for a module; and bundles to put into it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import polars as pl
import pytest

from recsys.bundle.bundle import Bundle
from recsys.vector_stores.catalogue import open_store
from recsys.vector_stores.store import VectorStore
from vector_stores import SERVERS
from worlds import make_contents_with_genres, unit, write_world

_NUMBERS = count()


@pytest.fixture(scope="module", params=list(SERVERS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def url(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with SERVERS[kind](tmp_path_factory.mktemp(kind)) as place:
        yield place


@pytest.fixture
def name() -> str:
    """Another one for each test."""
    return f"shop{next(_NUMBERS)}"


@pytest.fixture
def store(kind: str, url: str, name: str) -> Iterator[VectorStore]:
    opened = open_store(kind, url, name)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def world_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Bundles of one folder: the same world with other item vectors for another seed."""
    folder = tmp_path_factory.mktemp("bundles")

    def made(seed: int = 0) -> Bundle:
        contents = make_contents_with_genres()
        if seed:
            items = unit(np.random.default_rng(seed).normal(size=contents.embeddings.items.shape))
            contents = replace(contents, embeddings=replace(contents.embeddings, items=items))
        return Bundle.load(write_world(folder, contents))

    return made


@pytest.fixture
def new_items() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": ["n'1", "n|2"],
            "title": ["New Film", 'It\'s "other"'],
            "genres": ["comedy", "drama|sci-fi"],
        }
    )

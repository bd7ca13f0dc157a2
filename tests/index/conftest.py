"""The bundle of a world made by hand, and its lookup."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.index.bundle import Bundle, Contents, write_bundle
from recsys.index.lookup import Lookup
from worlds import make_contents


@pytest.fixture
def contents() -> Contents:
    return make_contents()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write the world's bundle with some fields replaced."""

    def write_changed(**changes: object) -> Path:
        return write_bundle(tmp_path / "bundles", replace(make_contents(), **changes))

    return write_changed


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The world's bundle; nobody changes it."""
    return Bundle.load(write_bundle(tmp_path_factory.mktemp("bundles"), make_contents()))


@pytest.fixture
def lookup(bundle: Bundle) -> Lookup:
    return Lookup(bundle)

"""One small bundle for all tests of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.bundle.bundle import Bundle
from recsys.lookup.lookup import Lookup
from servers import running
from serving.settings import Settings
from worlds import make_contents, write_world


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("bundles"), make_contents())


@pytest.fixture(scope="session")
def other_bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("others"), make_contents(seed=1))


@pytest.fixture(scope="session")
def lookup(bundle_path: Path) -> Lookup:
    return Lookup(Bundle.load(bundle_path))


@pytest.fixture(scope="module")
def address(bundle_path: Path) -> Iterator[str]:
    with running(Settings(bundle_path)) as address:
        yield address

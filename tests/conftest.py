"""Shared by all areas: checked shapes, fixed seeds, and the bundle of a world made by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook

# Before any test imports the model: what is imported already would go unchecked.
install_import_hook("recsys.model", "beartype.beartype")

from hypothesis import HealthCheck, settings  # noqa: E402

from engines import HAS_DGL  # noqa: E402
from recsys.bundle.bundle import Bundle  # noqa: E402
from recsys.lookup.lookup import Lookup  # noqa: E402
from worlds import World, make_contents, write_world  # noqa: E402

# DGL has no wheels for a later Python; what draws without it is tested on every one.
collect_ignore = [] if HAS_DGL else ["graph/test_dgl_graph.py", "model/test_textbook.py"]

# A busy machine fails no test: no example has a deadline, nor has drawing them.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def contents() -> World:
    return make_contents()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write the world's bundle with some fields replaced."""

    def write_changed(**changes: object) -> Path:
        return write_world(tmp_path / "bundles", replace(make_contents(), **changes))

    return write_changed


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The world's bundle; nobody changes it."""
    return Bundle.load(write_world(tmp_path_factory.mktemp("bundles"), make_contents()))


@pytest.fixture
def lookup(bundle: Bundle) -> Lookup:
    return Lookup(bundle)
